using System.Security.Cryptography;
using System.Text;
using Nibble.Export.Safetensors;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Runs;

/// <summary>Calibration data as a user names it: a JSONL file, a folder, or a safetensors file of tokens.</summary>
/// <param name="Samples">One at a time.</param>
/// <param name="Path">Where they come from.</param>
/// <param name="Fingerprint">A hash of the files and of how many samples are used.</param>
sealed record CalibrationFiles(ISampleSource Samples, string Path, string Fingerprint)
{
    const string Default = "calib.jsonl";

    /// <summary>What an earlier run learned: then there are no samples.</summary>
    public StoredStatistics? Statistics { get; init; }

    /// <summary>Samples that are run or were.</summary>
    public long Count => Statistics?.Info.Samples ?? Samples.Count;

    /// <summary>Statistics where a file of them was named and the plan needs some, else data.</summary>
    /// <exception cref="UsageException">There is none; says how to make some.</exception>
    /// <exception cref="QuantizationException">The statistics are of another model, or lack something; names it.</exception>
    public static CalibrationFiles Open(ModelFolder model, Plan plan, RunOptions options) =>
        options.Statistics is { } path ? StatisticsFile.For(model, plan, path) : Open(model, options);

    static readonly string[] PictureEndings = [".png", ".jpg", ".jpeg"];

    /// <summary>What was named, else calib.jsonl beside the model.</summary>
    /// <exception cref="UsageException">There is none; says how to make some.</exception>
    public static CalibrationFiles Open(ModelFolder model, RunOptions options)
    {
        var path = options.Calibration ?? model.In(Default);
        if (options.Samples is <= 0)
            throw new UsageException($"--samples {options.Samples}: at least 1 expected.");
        if (options.Calibration is null && !File.Exists(path))
            throw new UsageException("These formats need calibration data. Give --calibration data.jsonl with lines like\n" +
                """  {"text": "Some text as the model will see it."}""" + "\n" +
                """  {"image": "photo.jpg", "question": "What is shown?", "answer": "A cat."}""" + "\n" +
                "A few hundred lines are enough; paths of pictures are relative to the file. See docs/calibration.md.");
        if (Directory.Exists(path))
            return Folder(model, path, options.Samples);
        if (!File.Exists(path))
            throw new UsageException($"--calibration {path}: no such file or folder.");
        return path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            ? Tokens(model, path, options.Samples)
            : Entries(model, DataEntry.ReadAll(path), path, [path], options.Samples);
    }

    static CalibrationFiles Tokens(ModelFolder model, string path, int? limit)
    {
        var samples = new TokenSamples(SafetensorsFile.Open(path), path);
        samples.Check(model.Network.VocabularySize);
        return new CalibrationFiles(limit is { } most ? new First(samples, most) : samples, path, Hash([path], limit));
    }

    static CalibrationFiles Entries(ModelFolder model, List<DataEntry> entries, string path, IEnumerable<string> files, int? limit)
    {
        var used = entries.Take(limit ?? int.MaxValue).ToList();
        var folder = Directory.Exists(path) ? path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        var pictures = used.SelectMany(entry => entry.Images).Distinct().Select(image => System.IO.Path.Combine(folder, image)).ToList();
        if (pictures.Find(picture => !File.Exists(picture)) is { } missing)
            throw new QuantizationException($"{path}: the picture {missing} does not exist.");
        return new CalibrationFiles(new PromptSamples(used, model.Prompts, folder), path, Hash(files.Concat(pictures), limit));
    }

    /// <summary>A folder with JSONL files, or else with texts and pictures, each a sample of its own.</summary>
    static CalibrationFiles Folder(ModelFolder model, string path, int? limit)
    {
        var files = Directory.GetFiles(path).Order(StringComparer.Ordinal).ToList();
        var lists = files.Where(file => file.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase)).ToList();
        if (lists.Count > 0)
            return Entries(model, [.. lists.SelectMany(DataEntry.ReadAll)], path, lists, limit);

        var entries = files.Select(Entry).OfType<DataEntry>().ToList();
        return entries.Count > 0 ? Entries(model, entries, path, files.Where(file => file.EndsWith(".txt", StringComparison.OrdinalIgnoreCase)), limit)
            : throw new UsageException($"--calibration {path}: no .jsonl, .txt, .png or .jpg files found.");
    }

    static DataEntry? Entry(string file)
    {
        var name = System.IO.Path.GetFileName(file);
        return System.IO.Path.GetExtension(file).ToLowerInvariant() switch
        {
            ".txt" => new DataEntry(name, null, [], File.ReadAllText(file), null, null, [], -1, null),
            var ending when PictureEndings.Contains(ending) =>
                new DataEntry(name, null, [name], null, "Describe the picture.", null, [], -1, null),
            _ => null,
        };
    }

    static string Hash(IEnumerable<string> files, int? limit)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            using var stream = File.OpenRead(file);
            hash.AppendData(Encoding.UTF8.GetBytes(System.IO.Path.GetFileName(file)));
            hash.AppendData(SHA256.HashData(stream));
        }
        hash.AppendData(Encoding.UTF8.GetBytes($"limit={limit}"));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    sealed class First(ISampleSource samples, int count) : ISampleSource
    {
        public int Count => Math.Min(count, samples.Count);

        public Models.Sample Load(int index) => samples.Load(index);

        public int Batch(int index) => samples.Batch(index);
    }
}
