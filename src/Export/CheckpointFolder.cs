using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Tensors;

namespace Nibble.Export;

/// <summary>
/// A Hugging Face model folder: one safetensors file, or shards under an index. Stricter than its usual loaders: a tensor that
/// its shard lacks, a tensor in two shards and a shard outside the folder are errors.
/// </summary>
public sealed class CheckpointFolder : ITensorSource, IDisposable
{
    const long LargestJson = 256 << 20;
    const string ConfigName = "config.json", QuantConfigName = "hf_quant_config.json";

    static readonly string[] WeightEndings =
        [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".index.json", ".partial"];

    readonly Dictionary<string, SafetensorsFile> owners = [];
    readonly List<string> warnings = [];

    CheckpointFolder(string path) => Path = path;

    public string Path { get; }

    /// <summary>The weight files, in the order of their names.</summary>
    public IReadOnlyList<SafetensorsFile> Shards { get; private set; } = [];

    public IReadOnlyCollection<TensorSpec> Tensors { get; private set; } = [];

    /// <summary>Oddities that lose nothing, like a wrong total size.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <summary>
    /// Names of the files to take along to another checkpoint: everything at the top that is neither hidden nor weights nor one
    /// of the two files a writer makes anew (config.json, hf_quant_config.json).
    /// </summary>
    public IReadOnlyList<string> SideFiles { get; private set; } = [];

    /// <summary>The bytes of config.json; empty where there is none.</summary>
    public ReadOnlyMemory<byte> Config { get; private set; }

    /// <summary><c>model_type</c> of config.json.</summary>
    public string? ModelType { get; private set; }

    /// <summary><c>quantization_config</c> of config.json, for instance what an already quantized model says of itself.</summary>
    public JsonElement? QuantizationConfig { get; private set; }

    /// <summary>The content of hf_quant_config.json.</summary>
    public JsonElement? HfQuantConfig { get; private set; }

    /// <param name="path">The folder, or one safetensors file.</param>
    /// <exception cref="CheckpointException">Names the file that is missing, unreadable or contradicts the index.</exception>
    public static CheckpointFolder Open(string path)
    {
        var single = File.Exists(path) ? path : null;
        var folder = new CheckpointFolder(single is null ? path
            : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!);
        try
        {
            if (single is null && !Directory.Exists(path))
                throw new CheckpointException(path, "no such folder");
            folder.OpenWeights(single);
            folder.ReadConfig();
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    public TensorSpec? Find(string name) => owners.TryGetValue(name, out var shard) ? shard.Find(name) : null;

    public Tensor Load(string name) =>
        owners.TryGetValue(name, out var shard) ? shard.Load(name)
            : throw new CheckpointException(Path, "not in this checkpoint", name);

    /// <summary>
    /// Brings the bytes of these tensors into the system's memory, in file order. See <see cref="SafetensorsFile.Prefetch"/>.
    /// </summary>
    public void Prefetch(IEnumerable<string> names, CancellationToken cancel = default)
    {
        foreach (var group in names.GroupBy(name => owners.TryGetValue(name, out var shard)
            ? shard : throw new CheckpointException(Path, "not in this checkpoint", name)))
            group.Key.Prefetch(group, cancel);
    }

    public void Dispose()
    {
        foreach (var shard in Shards)
            shard.Dispose();
    }

    void OpenWeights(string? single)
    {
        var names = Directory.GetFiles(Path).Select(file => System.IO.Path.GetFileName(file)).Order(StringComparer.Ordinal)
            .ToList();
        SideFiles = [.. names.Where(name => !name.StartsWith('.') && name is not (ConfigName or QuantConfigName)
            && !WeightEndings.Any(ending => name.EndsWith(ending, StringComparison.OrdinalIgnoreCase)))];
        if (single is not null)
            OpenShards([System.IO.Path.GetFileName(single)]);
        else if (names.Contains("model.safetensors"))
            OpenShards(["model.safetensors"]);
        else if (IndexName(names) is { } index)
            OpenIndexed(System.IO.Path.Combine(Path, index), names);
        else if (names.Where(name => name.EndsWith(".safetensors", StringComparison.Ordinal)).ToList() is [var only])
            OpenShards([only]);
        else
            throw new CheckpointException(Path, "model.safetensors, an index or exactly one *.safetensors file expected; " +
                $"found {names.Count(name => name.EndsWith(".safetensors", StringComparison.Ordinal))} such files and no index");
    }

    string? IndexName(List<string> names) =>
        names.Where(name => name.EndsWith(".safetensors.index.json", StringComparison.Ordinal)).ToList() switch
        {
            [] => null,
            [var only] => only,
            var several when several.Contains("model.safetensors.index.json") => "model.safetensors.index.json",
            var several => throw new CheckpointException(Path, $"several indices: {string.Join(", ", several)}"),
        };

    void OpenIndexed(string indexPath, List<string> names)
    {
        var (map, totalSize) = ShardIndex.Read(indexPath, Disk.ReadAll(indexPath, LargestJson));
        OpenShards([.. map.Values.Distinct().Order(StringComparer.Ordinal)]);
        foreach (var (tensor, shard) in map)
            if (!owners.TryGetValue(tensor, out var owner))
                throw new CheckpointException(indexPath, $"expected in {shard}, which does not have it", tensor);
            else if (System.IO.Path.GetFileName(owner.Path) != shard)
                throw new CheckpointException(indexPath, $"expected in {shard}, found in {owner.Path}", tensor);
        foreach (var tensor in owners.Keys.Where(tensor => !map.ContainsKey(tensor)))
            warnings.Add($"{indexPath}: tensor '{tensor}' of {owners[tensor].Path} is not in the index");
        foreach (var name in names.Where(name => name.EndsWith(".safetensors", StringComparison.Ordinal)
            && !map.ContainsValue(name)))
            warnings.Add($"{indexPath}: {name} is not in the index and is not read");
        var bytes = Shards.Sum(shard => shard.Entries.Sum(entry => entry.Bytes));
        if (totalSize is { } stated && stated != bytes)
            warnings.Add($"{indexPath}: total_size is {stated}, the tensors have {bytes} bytes");
    }

    void OpenShards(List<string> names)
    {
        var shards = new List<SafetensorsFile>();
        Shards = shards;
        foreach (var name in names)
        {
            var shard = SafetensorsFile.Open(System.IO.Path.Combine(Path, name));
            shards.Add(shard);
            foreach (var entry in shard.Entries)
                if (!owners.TryAdd(entry.Name, shard))
                    throw new CheckpointException(shard.Path, $"also in {owners[entry.Name].Path}", entry.Name);
        }
        Tensors = [.. shards.SelectMany(shard => shard.Tensors)];
    }

    void ReadConfig()
    {
        Config = ReadJson(ConfigName, config =>
        {
            ModelType = config.TryGetProperty("model_type", out var type) && type.ValueKind == JsonValueKind.String
                ? type.GetString() : null;
            QuantizationConfig = config.TryGetProperty("quantization_config", out var quantization)
                && quantization.ValueKind == JsonValueKind.Object ? quantization : null;
        });
        ReadJson(QuantConfigName, config => HfQuantConfig = config);
    }

    byte[] ReadJson(string name, Action<JsonElement> read)
    {
        var path = System.IO.Path.Combine(Path, name);
        if (!File.Exists(path))
            return [];
        var bytes = Disk.ReadAll(path, LargestJson);
        try
        {
            using var document = JsonDocument.Parse(bytes);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new CheckpointException(path, $"a JSON object expected; found {document.RootElement.ValueKind}");
            read(document.RootElement.Clone());
            return bytes;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter for text that is no Unicode
        {
            throw new CheckpointException(path, $"not valid JSON: {e.Message}", inner: e);
        }
    }
}
