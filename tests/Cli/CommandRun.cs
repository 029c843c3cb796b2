using System.Text.Json;
using Nibble.Cli;
using Nibble.Cli.Output;

namespace Nibble.Tests.Cli;

/// <summary>What one command line did: the program runs in this process, its two streams are kept apart.</summary>
sealed record CommandRun(int Code, string Output, string Error)
{
    public static CommandRun Of(params string[] arguments) => Of(CancellationToken.None, arguments);

    public static CommandRun Of(CancellationToken cancellation, params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        var code = Program.Run(arguments, new Terminal(output, error, false, false, true), cancellation);
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs a command that has to end well.</summary>
    public static CommandRun Good(params string[] arguments)
    {
        var run = Of(arguments);
        Assert.True(run.Code == ExitCode.Ok, $"nibble {string.Join(' ', arguments)}: exit code {run.Code}\n{run.Error}\n{run.Output}");
        Assert.DoesNotContain('\u001b', run.Output + run.Error);
        return run;
    }

    /// <summary>Runs a command that has to be refused: with this code, one error, and each of these words in it.</summary>
    public static CommandRun Refused(int code, IEnumerable<string> words, params string[] arguments)
    {
        var run = Of(arguments);
        Assert.True(run.Code == code, $"nibble {string.Join(' ', arguments)}: exit code {run.Code} instead of {code}\n{run.Error}");
        Assert.Equal(1, Errors(run.Error));
        foreach (var word in words)
            Assert.Contains(word, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal); // no stack trace
        return run;
    }

    /// <summary>The data as the one JSON object it is.</summary>
    public JsonElement Json()
    {
        using var document = JsonDocument.Parse(Output);
        Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
        return document.RootElement.Clone();
    }

    /// <summary>The data as JSON lines.</summary>
    public List<JsonElement> JsonLines() => [.. Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
    {
        using var document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    })];

    static int Errors(string text) => text.Split('\n').Count(line => line.StartsWith("error: ", StringComparison.Ordinal));
}
