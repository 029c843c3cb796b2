using System.Text.Json;

namespace Nibble.Quant.Calibration;

/// <summary>
/// One line of a JSONL data file. Recognised fields: <c>text</c>; <c>messages</c>; or <c>question</c> with optional <c>answer</c>;
/// with any of them <c>image</c> or <c>images</c> (paths relative to the file). Evaluation adds <c>options</c> and <c>answer_index</c>.
/// </summary>
public sealed record DataEntry(
    string Id, string? Kind, IReadOnlyList<string> Images, string? Text, string? Question, string? Answer,
    IReadOnlyList<string> Options, int AnswerIndex, JsonElement? Messages)
{
    /// <summary>Longest line accepted, in characters.</summary>
    const int LongestLine = 16 << 20;

    public bool IsMultipleChoice => Options.Count > 0;

    /// <summary>All entries of a file; blank lines are skipped.</summary>
    /// <exception cref="QuantizationException">A line is not what it should be; names file and line.</exception>
    public static List<DataEntry> ReadAll(string path)
    {
        var entries = new List<DataEntry>();
        var number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                entries.Add(Parse(line, number, $"{path}, line {number}"));
        }
        return entries.Count > 0 ? entries : throw new QuantizationException($"{path}: no entries found.");
    }

    static DataEntry Parse(string line, int number, string where)
    {
        if (line.Length > LongestLine)
            throw new QuantizationException($"{where}: {line.Length} characters; at most {LongestLine} accepted.");
        try
        {
            using var document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 32 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                throw new QuantizationException($"{where}: a JSON object expected, found {root.ValueKind}.");
            var entry = new DataEntry(
                root.TryGetProperty("id", out var id) ? id.ToString() : number.ToString(System.Globalization.CultureInfo.InvariantCulture),
                String(root, "kind"), ImagesOf(root), String(root, "text"), String(root, "question"), String(root, "answer"),
                Strings(root, "options"), root.TryGetProperty("answer_index", out var index) ? index.GetInt32() : -1,
                root.TryGetProperty("messages", out var messages) ? messages.Clone() : null);
            if (entry.Text is null && entry.Question is null && entry.Messages is null)
                throw new QuantizationException($"{where}: one of 'text', 'question' or 'messages' expected.");
            if (entry.IsMultipleChoice && (uint)entry.AnswerIndex >= entry.Options.Count)
                throw new QuantizationException($"{where}: answer_index {entry.AnswerIndex} is not one of {entry.Options.Count} options.");
            return entry;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new QuantizationException($"{where}: {error.Message}", error);
        }
    }

    static List<string> ImagesOf(JsonElement root) =>
        String(root, "image") is { } single ? [single] : Strings(root, "images");

    static string? String(JsonElement root, string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value.GetString() : null;

    static List<string> Strings(JsonElement root, string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(item => item.GetString() ?? "")] : [];
}
