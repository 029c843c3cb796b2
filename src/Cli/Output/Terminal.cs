using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Nibble.Cli.Output;

/// <summary>Data goes to one stream, everything said about the work to the other.</summary>
sealed class Terminal(TextWriter output, TextWriter error, bool outputIsTerminal, bool errorIsTerminal, bool colourAllowed)
{
    /// <summary>The process' own streams. No colour off a terminal or where <c>NO_COLOR</c> is set.</summary>
    public static Terminal Standard()
    {
        var utf8 = new UTF8Encoding(false);
        var output = new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true };
        var error = new StreamWriter(Console.OpenStandardError(), utf8) { AutoFlush = true };
        var colour = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
            && Environment.GetEnvironmentVariable("TERM") != "dumb";
        return new Terminal(output, error, !Console.IsOutputRedirected, !Console.IsErrorRedirected, colour);
    }

    /// <summary>Whether a line on the error stream may be rewritten.</summary>
    public bool CanAnimate => errorIsTerminal && colourAllowed;

    public int Width => errorIsTerminal ? Math.Max(40, Console.WindowWidth) : 100;

    /// <summary>The data stream, for text that somebody else lays out.</summary>
    public TextWriter Output => output;

    /// <summary>One line of data.</summary>
    public void Line(string text = "") => output.WriteLine(text);

    /// <summary>Data without a line break, shown at once.</summary>
    public void Write(string text)
    {
        output.Write(text);
        output.Flush();
    }

    /// <summary>One JSON object on one line of the data stream.</summary>
    public void Json<T>(T value, JsonTypeInfo<T> type) => output.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>A remark on the error stream.</summary>
    public void Note(string text) => error.WriteLine(text);

    public void Error(string text) => error.WriteLine($"{Paint("error:", "1;31", errorIsTerminal)} {text}");

    public void Warning(string text) => error.WriteLine($"{Paint("warning:", "1;33", errorIsTerminal)} {text}");

    /// <summary>Replaces the current line of the error stream.</summary>
    public void Rewrite(string text) => error.Write($"\r\u001b[2K{text}");

    public string Bold(string text) => Paint(text, "1", outputIsTerminal);

    public string Dim(string text) => Paint(text, "2", outputIsTerminal);

    /// <summary>Columns as wide as their widest cell; numbers (cells that begin with a digit) to the right.</summary>
    public void Table(IReadOnlyList<string> header, IEnumerable<IReadOnlyList<string>> rows)
    {
        var all = rows.ToList();
        var widths = header.Select((title, i) => all.Select(row => row[i].Length).Append(title.Length).Max()).ToArray();
        var right = header.Select((_, i) => all.Count > 0 && all.All(row => row[i].Length == 0 || IsNumber(row[i]))).ToArray();
        string Row(IReadOnlyList<string> cells) => string.Join("  ", cells
            .Select((cell, i) => right[i] ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]))).TrimEnd();
        Line(Bold(Row(header)));
        foreach (var row in all)
            Line(Row(row));
    }

    static bool IsNumber(string cell) => char.IsAsciiDigit(cell[0]) || (cell.Length > 1 && cell[0] is '-' or '.') || cell == "–";

    string Paint(string text, string code, bool isTerminal) =>
        isTerminal && colourAllowed ? $"\u001b[{code}m{text}\u001b[0m" : text;
}
