using Nibble.Cli;
using Nibble.Cli.Output;

namespace Nibble.Tests.Cli;

/// <summary>Streams, colours, units and progress.</summary>
public sealed class OutputTests
{
    static (Terminal Terminal, StringWriter Output, StringWriter Error) Terminal(bool isTerminal, bool colour)
    {
        StringWriter output = new(), error = new();
        return (new Terminal(output, error, isTerminal, isTerminal, colour), output, error);
    }

    [Theory]
    [InlineData(true, true, true)]
    [InlineData(true, false, false)] // NO_COLOR
    [InlineData(false, true, false)]
    public void Colours_are_for_terminals_that_want_them(bool isTerminal, bool allowed, bool coloured)
    {
        var (terminal, output, error) = Terminal(isTerminal, allowed);
        terminal.Table(["a", "b"], [["1", "x"]]);
        terminal.Error("wrong");
        terminal.Warning("odd");
        Assert.Equal(coloured, output.ToString().Contains('\u001b'));
        Assert.Equal(coloured, error.ToString().Contains('\u001b'));
        Assert.Equal(coloured, terminal.CanAnimate);
    }

    [Fact]
    public void Off_a_terminal_progress_is_a_line_every_five_seconds_and_none_in_short_runs()
    {
        var (terminal, output, error) = Terminal(false, true);
        var now = TimeSpan.Zero;
        var display = new ProgressDisplay(terminal, false, () => now);
        for (var second = 0.0; second <= 12; second += 0.5)
        {
            now = TimeSpan.FromSeconds(second);
            display.Show("calibrating", "model.layers.0", second / 20);
            Assert.Equal((int)(second / 5), error.ToString().Count(c => c == '\n'));
        }
        display.End();
        Assert.Empty(output.ToString());
        Assert.DoesNotContain('\u001b', error.ToString());
        Assert.Contains("50.0 %  calibrating model.layers.0  10.0s elapsed, 10.0s left", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void On_a_terminal_it_is_one_line_from_the_start()
    {
        var (terminal, output, error) = Terminal(true, true);
        var display = new ProgressDisplay(terminal, false, () => TimeSpan.Zero);
        display.Show("copying", "lm_head.weight", 0);
        Assert.Contains("copying lm_head.weight", error.ToString(), StringComparison.Ordinal);
        display.End();
        Assert.DoesNotContain('\n', error.ToString());
        Assert.Empty(output.ToString());
    }

    [Fact]
    public void As_JSON_it_goes_to_the_data_stream()
    {
        var (terminal, output, error) = Terminal(false, true);
        new ProgressDisplay(terminal, true, () => TimeSpan.Zero).Show("copying", "a\"b", 0.25);
        var line = Assert.Single(new CommandRun(0, output.ToString(), "").JsonLines());
        Assert.Equal("progress", line.GetProperty("event").GetString());
        Assert.Equal(0.25, line.GetProperty("done").GetDouble());
        Assert.Empty(error.ToString());
    }

    [Fact]
    public void What_an_earlier_run_did_says_nothing_about_the_speed()
    {
        var (terminal, _, error) = Terminal(false, true);
        var now = TimeSpan.FromSeconds(4);
        var display = new ProgressDisplay(terminal, false, () => now);
        display.Skip(0.5);
        now = TimeSpan.FromSeconds(14);
        display.Show("quantizing", "x", 0.6);
        Assert.Contains("14.0s elapsed, 40.0s left", error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("64MiB", 64L << 20)]
    [InlineData("5GB", 5_000_000_000)]
    [InlineData("1.5 GiB", 3L << 29)]
    [InlineData("12", 12)]
    [InlineData("0", 0)]
    [InlineData("2k", 2048)]
    public void Sizes_are_read(string text, long bytes) => Assert.Equal(bytes, Units.ParseBytes(text, "--size"));

    [Fact]
    public void Numbers_are_written_for_people()
    {
        Assert.Equal(["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "3.0 GiB", "2048.0 TiB"],
            new[] { 0, 1023, 1024, 3L << 19, 3L << 30, 1L << 51 }.Select(Units.Bytes));
        Assert.Equal(["0.0s", "59.9s", "1m 05s", "1h 04m", "30h 00m"],
            new[] { 0, 59.9, 65, 3840, 108_000 }.Select(seconds => Units.Time(TimeSpan.FromSeconds(seconds))));
        Assert.Equal(["0", "0.0012", "9.876e-4", "12.3457", "1.234e+5"], new[] { 0, 0.0012, 9.876e-4, 12.34567, 123_400 }.Select(Units.Number));
        Assert.Equal(["0 %", "12.35 %", "100 %"], new[] { 0, 0.12345, 1 }.Select(Units.Percent));
    }

    [Fact]
    public void Tables_have_columns_as_wide_as_their_widest_cell_and_numbers_to_the_right()
    {
        var (terminal, output, _) = Terminal(false, false);
        terminal.Table(["name", "n", "x"], [["a", "7", "yes"], ["longer", "123", "no"], ["b", "–", ""]]);
        Assert.Equal("name      n  x\na         7  yes\nlonger  123  no\nb         –\n", output.ToString().ReplaceLineEndings("\n"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-5MB")]
    [InlineData("5XB")]
    [InlineData("1e30GB")]
    [InlineData("99999999999TB")]
    public void What_is_no_size_is_refused(string text) => Assert.Throws<UsageException>(() => Units.ParseBytes(text, "--size"));

    [Theory]
    [InlineData("nvfp5", "nvfp4")]
    [InlineData("NVFP-4", "nvfp4")]
    [InlineData("banana", null)]
    public void The_nearest_word_is_suggested(string typed, string? meant) =>
        Assert.Equal(meant, Suggestion.Nearest(typed, ["fp8", "nvfp4", "mxfp8", "int8_wo"]));
}
