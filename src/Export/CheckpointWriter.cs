using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Nibble.Export.Safetensors;
using Nibble.Tensors;

namespace Nibble.Export;

/// <summary>How a checkpoint is written.</summary>
public sealed record CheckpointOptions
{
    /// <summary>Bytes of tensors in one file at most; a larger tensor gets a file of its own.</summary>
    public long MaxShardBytes { get; init; } = 5_000_000_000;

    /// <summary>
    /// Named fields that identify the run (model, recipe, data, version). A run is resumed only when all are equal.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, string>> Fingerprint { get; init; } = [];

    /// <summary>
    /// Removes the weights, indices and progress an output folder already has, instead of refusing it or going on.
    /// </summary>
    public bool Overwrite { get; init; }

    /// <summary>The folder the model is read from. Writing into it is refused.</summary>
    public string? Source { get; init; }
}

/// <summary>
/// Writes a checkpoint tensor by tensor, straight into its shards. All tensors are declared first, so shards, offsets and the
/// space on disk are settled at the start. After a kill, opening the same folder with the same declaration goes on behind the
/// last <see cref="Checkpoint"/>, and the result has the same bytes.
/// </summary>
public sealed class CheckpointWriter : IDisposable
{
    readonly Dictionary<string, SafetensorsWriter> owners = [];
    readonly List<SafetensorsWriter> writers = [];
    readonly List<(string File, List<TensorSpec> Tensors)> shards;
    readonly ProgressJournal journal;
    readonly Lock gate = new();
    readonly HashSet<SafetensorsWriter> touched = [];
    readonly List<string> written = [];
    readonly Dictionary<string, ReadOnlyMemory<byte>> noted = [];

    CheckpointWriter(string folder, List<(string, List<TensorSpec>)> shards, ProgressJournal journal)
    {
        Folder = folder;
        this.shards = shards;
        this.journal = journal;
    }

    public string Folder { get; }

    /// <summary>
    /// Tensors that need not be written again: those of the last <see cref="Checkpoint"/>, in this run or an earlier one.
    /// </summary>
    public IReadOnlySet<string> Finished => journal.Finished;

    /// <summary>Notes of the last <see cref="Checkpoint"/>, in this run or an earlier one, as UTF-8 JSON.</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Notes => journal.Notes;

    /// <summary>Starts a checkpoint, or goes on with the interrupted one of the same folder.</summary>
    /// <exception cref="CheckpointException">
    /// The folder has other content, belongs to a run with another fingerprint, cannot be written, or the disk cannot hold the
    /// tensors.
    /// </exception>
    public static CheckpointWriter Open(string folder, IReadOnlyList<TensorSpec> tensors, CheckpointOptions options)
    {
        folder = Path.GetFullPath(folder);
        Claim(folder, tensors, options);
        var run = options.Fingerprint.Append(new("maxShardBytes", options.MaxShardBytes.ToString(CultureInfo.InvariantCulture)))
            .Append(new("tensors", Digest(tensors))).ToList();
        var progress = ProgressJournal.FolderIn(folder);
        if (options.Overwrite)
            Clear(folder, progress);
        var journal = ProgressJournal.Reopen(progress, run);
        if (journal is null)
        {
            RefuseContent(folder, progress, options);
            journal = ProgressJournal.Create(progress, run);
        }
        var writer = new CheckpointWriter(folder, ShardIndex.Cut(tensors, options.MaxShardBytes), journal);
        try
        {
            writer.OpenShards();
            return writer;
        }
        catch
        {
            writer.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a tensor to its shard. Not durable before <see cref="Checkpoint"/>. Several threads may call this.
    /// </summary>
    /// <exception cref="CheckpointException">Not declared, not as declared, already finished, or the disk is full.</exception>
    public void Write(string name, Tensor tensor)
    {
        if (!owners.TryGetValue(name, out var shard))
            throw new CheckpointException(Folder, "not declared for this checkpoint", name);
        lock (gate)
            if (journal.Finished.Contains(name))
                throw new CheckpointException(shard.Path, "already finished", name);
        shard.Write(name, tensor);
        lock (gate)
        {
            touched.Add(shard);
            written.Add(name);
        }
    }

    /// <summary>
    /// A tensor of the last <see cref="Checkpoint"/>, in this run or an earlier one, byte for byte; null when it is still to be
    /// written.
    /// </summary>
    /// <exception cref="CheckpointException">Not declared, or its shard cannot be read.</exception>
    public Tensor? Load(string name)
    {
        if (!owners.TryGetValue(name, out var shard))
            throw new CheckpointException(Folder, "not declared for this checkpoint", name);
        lock (gate)
            if (!journal.Finished.Contains(name))
                return null;
        return shard.Read(name);
    }

    /// <summary>
    /// Keeps a JSON value that becomes durable with the next <see cref="Checkpoint"/>; an earlier one of this key is replaced.
    /// </summary>
    public void Note(string key, ReadOnlySpan<byte> json)
    {
        var value = ProgressJournal.OneLine(key, json);
        lock (gate)
            noted[key] = value;
    }

    /// <summary>Makes everything written and noted so far durable, as one step: a kill leaves all of it or nothing.</summary>
    public void Checkpoint()
    {
        lock (gate)
        {
            if (written.Count == 0 && noted.Count == 0)
                return;
            foreach (var shard in touched)
                shard.Flush();
            journal.Append(written, noted);
            touched.Clear();
            written.Clear();
            noted.Clear();
        }
    }

    /// <summary>Names the shards, writes index and side files, and ends the run.</summary>
    /// <param name="sideFiles">config.json, tokenizer and the rest; a later one of the same name replaces an earlier one.</param>
    /// <exception cref="CheckpointException">
    /// A declared tensor was not written, or a file cannot be written; the run can be resumed.
    /// </exception>
    public void Complete(IEnumerable<SideFile> sideFiles)
    {
        Checkpoint();
        foreach (var writer in writers)
            writer.Complete();
        if (shards.Count > 1)
            Disk.WriteAll(Path.Combine(Folder, ShardIndex.FileName), stream => ShardIndex.Write(stream, shards));
        foreach (var file in sideFiles)
            file.WriteTo(Folder);
        journal.Delete();
    }

    /// <summary>
    /// Closes the files. Without <see cref="Complete"/> the folder can be resumed from the last <see cref="Checkpoint"/>.
    /// </summary>
    public void Dispose()
    {
        foreach (var writer in writers)
            writer.Dispose();
        journal.Dispose();
    }

    void OpenShards()
    {
        foreach (var (file, tensors) in shards)
        {
            var path = Path.Combine(Folder, file);
            var kept = SafetensorsWriter.Reopen(path, tensors);
            if (kept is null)
                journal.Finished.ExceptWith(tensors.Select(tensor => tensor.Name));
            var writer = kept ?? SafetensorsWriter.Create(path, tensors);
            writers.Add(writer);
            foreach (var tensor in tensors)
            {
                owners.Add(tensor.Name, writer);
                if (journal.Finished.Contains(tensor.Name))
                    writer.Keep(tensor.Name);
            }
        }
    }

    static void Claim(string folder, IReadOnlyList<TensorSpec> tensors, CheckpointOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxShardBytes);
        if (options.Source is { } source && SamePlace(source, folder))
            throw new CheckpointException(folder, "the output folder is the folder the model is read from");
        var names = new HashSet<string>();
        foreach (var tensor in tensors)
            if (!names.Add(tensor.Name))
                throw new CheckpointException(folder, "declared twice", tensor.Name);
        Disk.Try(folder, "cannot be created", () => Directory.CreateDirectory(folder));
    }

    static bool SamePlace(string first, string second) => RealPath(first) == RealPath(second);

    static string RealPath(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        return Directory.Exists(full) ? new DirectoryInfo(full).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? full
            : full;
    }

    static void RefuseContent(string folder, string progress, CheckpointOptions options)
    {
        if (!options.Overwrite && Directory.EnumerateFileSystemEntries(folder)
            .FirstOrDefault(entry => entry != progress) is { } entry)
            throw new CheckpointException(folder, $"the output folder is not empty: it has {Path.GetFileName(entry)}");
    }

    /// <summary>Removes what an earlier checkpoint left, so that no stale shard stays behind.</summary>
    static void Clear(string folder, string progress) => Disk.Try(folder, "cannot be cleared", () =>
    {
        foreach (var file in Directory.GetFiles(folder))
            if (file.EndsWith(".safetensors", StringComparison.Ordinal)
                || file.EndsWith(".safetensors.index.json", StringComparison.Ordinal)
                || file.EndsWith(".partial", StringComparison.Ordinal))
                File.Delete(file);
        if (Directory.Exists(progress))
            Directory.Delete(progress, recursive: true);
    });

    static string Digest(IReadOnlyList<TensorSpec> tensors)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var tensor in tensors)
            hash.AppendData(Encoding.UTF8.GetBytes($"{tensor.Name}\0{tensor.DType.Name()}{tensor.Shape}\n"));
        return $"{tensors.Count} tensors, {System.Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}";
    }
}
