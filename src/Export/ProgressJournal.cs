using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Nibble.Export;

/// <summary>
/// What of a checkpoint is finished, one JSON line per step, appended after the data of the step is durable. A torn last line was
/// never acknowledged and is dropped. The first line holds the fields that identify the run. A locked file beside it keeps other
/// runs out.
/// </summary>
sealed class ProgressJournal : IDisposable
{
    const string Problem = "cannot be written";
    const long Largest = 1 << 30;

    static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    readonly string folder;
    readonly FileStream guard, stream;

    ProgressJournal(string folder, FileMode mode)
    {
        this.folder = folder;
        guard = Disk.Try(folder, "is in use by another run, or cannot be written",
            () => new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        try
        {
            stream = Disk.Try(FileIn(folder), Problem,
                () => new FileStream(FileIn(folder), mode, FileAccess.ReadWrite, FileShare.Read));
        }
        catch
        {
            guard.Dispose();
            throw;
        }
    }

    public HashSet<string> Finished { get; } = [];

    public Dictionary<string, ReadOnlyMemory<byte>> Notes { get; } = [];

    public static string FolderIn(string checkpoint) => Path.Combine(checkpoint, ".nibble");

    static string FileIn(string folder) => Path.Combine(folder, "progress.jsonl");

    /// <summary>A new journal in place of any old one.</summary>
    public static ProgressJournal Create(string folder, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        Disk.Try(folder, Problem, () => Directory.CreateDirectory(folder));
        var journal = new ProgressJournal(folder, FileMode.OpenOrCreate);
        Disk.Try(FileIn(folder), Problem, () => journal.stream.SetLength(0));
        journal.AppendLine(json =>
        {
            json.WriteStartObject("run");
            foreach (var (field, value) in run)
                json.WriteString(field, value);
            json.WriteEndObject();
        });
        return journal;
    }

    /// <summary>The journal of an interrupted run, or null when there is none to go on with.</summary>
    /// <exception cref="CheckpointException">
    /// The run was another one; names the first field that differs. Or the journal is damaged.
    /// </exception>
    public static ProgressJournal? Reopen(string folder, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        var path = FileIn(folder);
        if (!File.Exists(path))
            return null;
        var journal = new ProgressJournal(folder, FileMode.Open);
        try
        {
            if (journal.Replay(path, run))
                return journal;
            journal.Dispose();
            return null;
        }
        catch
        {
            journal.Dispose();
            throw;
        }
    }

    /// <summary>Records a step. Returns when it would survive a power failure.</summary>
    public void Append(IReadOnlyCollection<string> finished, IReadOnlyDictionary<string, ReadOnlyMemory<byte>> notes)
    {
        AppendLine(json =>
        {
            json.WriteStartArray("finished");
            foreach (var name in finished)
                json.WriteStringValue(name);
            json.WriteEndArray();
            json.WriteStartObject("notes");
            foreach (var (key, value) in notes)
            {
                json.WritePropertyName(key);
                json.WriteRawValue(value.Span, skipInputValidation: true);
            }
            json.WriteEndObject();
        });
        Finished.UnionWith(finished);
        foreach (var (key, value) in notes)
            Notes[key] = value;
    }

    /// <summary>The run is complete: nothing is left to resume.</summary>
    public void Delete()
    {
        Dispose();
        Disk.Try(folder, "cannot be removed", () => Directory.Delete(folder, recursive: true));
    }

    public void Dispose()
    {
        stream.Dispose();
        guard.Dispose();
    }

    /// <summary>The value on one line, as the journal needs it.</summary>
    public static ReadOnlyMemory<byte> OneLine(string key, ReadOnlySpan<byte> value)
    {
        try
        {
            var reader = new Utf8JsonReader(value);
            using var document = JsonDocument.ParseValue(ref reader);
            using var memory = new MemoryStream();
            using (var json = new Utf8JsonWriter(memory, Json))
                document.RootElement.WriteTo(json);
            return memory.ToArray();
        }
        catch (JsonException e)
        {
            throw new ArgumentException($"Note '{key}' is not JSON: {e.Message}", nameof(value), e);
        }
    }

    void AppendLine(Action<Utf8JsonWriter> write) => Disk.Try(FileIn(folder), Problem, () =>
    {
        using var line = new MemoryStream();
        using (var json = new Utf8JsonWriter(line, Json))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        line.WriteByte((byte)'\n');
        stream.Position = stream.Length;
        line.WriteTo(stream);
        stream.Flush(flushToDisk: true);
    });

    bool Replay(string path, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        if (stream.Length > Largest)
            throw new CheckpointException(path, $"{stream.Length} bytes; at most {Largest} expected");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var start = 0;
        for (var number = 1; Array.IndexOf(bytes, (byte)'\n', start) is var end and >= 0; number++)
        {
            if (!ReplayLine(path, number, bytes.AsMemory(start, end - start), run))
            {
                if (Array.IndexOf(bytes, (byte)'\n', end + 1) >= 0)
                    throw new CheckpointException(path, $"line {number} is damaged; remove the folder {folder} to start again");
                break;
            }
            start = end + 1;
        }
        stream.SetLength(start);
        return start > 0;
    }

    bool ReplayLine(string path, int number, ReadOnlyMemory<byte> line, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (number == 1)
            {
                Compare(path, root.GetProperty("run"), run);
                return true;
            }
            Finished.UnionWith([.. root.GetProperty("finished").EnumerateArray().Select(name => name.GetString()!)]);
            foreach (var note in root.GetProperty("notes").EnumerateObject())
                Notes[note.Name] = Encoding.UTF8.GetBytes(note.Value.GetRawText());
            return true;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return false;
        }
    }

    static void Compare(string path, JsonElement then, IReadOnlyList<KeyValuePair<string, string>> now)
    {
        foreach (var (field, value) in now)
        {
            var before = then.TryGetProperty(field, out var element) ? element.GetString() : null;
            if (before != value)
                throw new CheckpointException(path,
                    $"the interrupted run cannot go on: {field} was '{before ?? "(absent)"}' and is now '{value}'");
        }
        foreach (var field in then.EnumerateObject())
            if (now.All(given => given.Key != field.Name))
                throw new CheckpointException(path,
                    $"the interrupted run cannot go on: {field.Name} was '{field.Value}' and is now '(absent)'");
    }
}
