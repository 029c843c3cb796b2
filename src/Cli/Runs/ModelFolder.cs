using System.Numerics;
using System.Text.Json;
using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Chat;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Models.Images;
using Nibble.Models.Prompts;
using Nibble.Models.Tokenizer;
using Nibble.Quant.Algorithms.Rotation;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Cli.Runs;

/// <summary>A model on disk, joined from the parts that do not know each other: files, network, tokenizer, template, image processor.</summary>
sealed class ModelFolder : IDisposable
{
    const long LargestText = 256 << 20;

    readonly Lazy<Tokenizer> tokenizer;
    readonly Lazy<PromptBuilder> prompts;

    /// <summary>As the files have it.</summary>
    readonly INetwork stored;

    ModelFolder(string path, QuantizedCheckpoint files, ModelConfig config, Rotation rotation)
    {
        Path = path;
        Files = files;
        Config = config;
        Rotation = rotation;
        Network = stored = Networks.Create(config, files);
        Source = files;
        if (rotation == Rotation.Hadamard)
        {
            CheckPlain(); // a missing tensor is named with its file
            var rotated = RotatedSource.Create(stored, files);
            (Source, OwnHead) = (rotated, rotated.UntiesHead);
            Network = Networks.Create(OwnHead ? config.Untie() : config, rotated);
        }
        tokenizer = new Lazy<Tokenizer>(() => Tokenizer.Parse(Read("tokenizer.json"), In("tokenizer.json")));
        prompts = new Lazy<PromptBuilder>(() => new PromptBuilder(Tokenizer, Template(), Processor(), ImageToken));
    }

    public string Path { get; }

    public QuantizedCheckpoint Files { get; }

    public ModelConfig Config { get; }

    /// <summary>What was done to the weights on their way from the files.</summary>
    public Rotation Rotation { get; }

    /// <summary>The weights: those of the files, or the same in another basis.</summary>
    public ITensorSource Source { get; }

    /// <summary>Whether <see cref="Source"/> has a head of its own though that of the files is the embedding table.</summary>
    public bool OwnHead { get; }

    public INetwork Network { get; }

    /// <summary>[1, heads, 1, d] of what is taken off cached keys, and of what is taken off values.</summary>
    public Shape KeyValueBias => new(1, Config.Text.KeyValueHeads, 1, Config.Text.HeadWidth);

    public Tokenizer Tokenizer => tokenizer.Value;

    public PromptBuilder Prompts => prompts.Value;

    /// <exception cref="CheckpointException">Files are missing or damaged.</exception>
    /// <exception cref="ModelException">The architecture is not supported.</exception>
    /// <exception cref="Quant.QuantizationException">The model cannot be rotated.</exception>
    public static ModelFolder Open(string path, Rotation rotation = Rotation.None)
    {
        var files = QuantizedCheckpoint.Open(path);
        try
        {
            if (files.Folder.Config.IsEmpty)
                throw new CheckpointException(System.IO.Path.Combine(path, "config.json"), "not found; a model folder needs it");
            var config = ModelConfig.Parse(files.Folder.Config.Span, System.IO.Path.Combine(path, "config.json"));
            return new ModelFolder(path, files, config, rotation);
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>What a recipe does to this checkpoint, after every tensor the network needs was found to be there and in shape.</summary>
    /// <param name="unused">Tensors of the checkpoint that the network does not use.</param>
    /// <exception cref="CheckpointException">The checkpoint is quantized already, or a tensor is missing or not as config.json implies.</exception>
    public Plan Plan(Recipe recipe, out IReadOnlyList<string> unused)
    {
        unused = CheckPlain();
        var plan = Quant.Planning.Plan.Create(Network, Source, recipe);
        return recipe.KeyValues is not { Rotates: true } format || BitOperations.IsPow2(Config.Text.HeadWidth) ? plan : plan with
        {
            Problems = [.. plan.Problems, $"{format} rotates heads whose width is a power of two; here it is {Config.Text.HeadWidth}."],
        };
    }

    /// <summary>Holds the checkpoint to what running it over data or quantizing it needs.</summary>
    /// <returns>Tensors of the checkpoint that the network does not use.</returns>
    /// <exception cref="CheckpointException">The checkpoint is quantized already, or a tensor is missing or not as config.json implies.</exception>
    public IReadOnlyList<string> CheckPlain()
    {
        if (Files.Quantization is { } already)
            throw new CheckpointException(Path, $"plain weights expected, found a checkpoint already quantized to {already.Algorithm ?? "a cache format"}; " +
                "give the original");
        return AskedTensors.Check(stored, Files.Folder);
    }

    /// <summary>All stages loaded. Dense weights stay in the mapped files.</summary>
    public Generator Generator() => new(Network, Rotation == Rotation.None ? new Weights(Files, Files) : new Weights(Source));

    /// <summary>Token ids that end a generation: of generation_config.json, else of config.json.</summary>
    public IReadOnlyList<int> StopTokens() => File.Exists(In("generation_config.json"))
        && GenerationConfig.Parse(Read("generation_config.json"), In("generation_config.json")).EndTokens is { Count: > 0 } tokens
        ? tokens : Config.EndTokens;

    int? ImageToken => (Config as Qwen25VlConfig)?.ImageToken;

    public void Dispose() => Files.Dispose();

    /// <summary>A file of the folder.</summary>
    public string In(string name) => System.IO.Path.Combine(Path, name);

    ChatTemplate? Template() => ChatTemplate.FromConfig(
        File.Exists(In("chat_template.jinja")) ? System.Text.Encoding.UTF8.GetString(Read("chat_template.jinja")) : null,
        File.Exists(In("tokenizer_config.json")) ? Read("tokenizer_config.json") : [], Path);

    Qwen2VlImageProcessor? Processor() => ImageToken is null ? null
        : File.Exists(In("preprocessor_config.json"))
            ? Qwen2VlImageProcessor.Parse(Json("preprocessor_config.json"), In("preprocessor_config.json"))
            : throw new CheckpointException(In("preprocessor_config.json"), "not found; a model that takes pictures needs it");

    JsonElement Json(string name)
    {
        try
        {
            using var document = JsonDocument.Parse(Read(name));
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new CheckpointException(In(name), $"not JSON: {error.Message}", inner: error);
        }
    }

    byte[] Read(string name)
    {
        var file = new FileInfo(In(name));
        if (!file.Exists)
            throw new CheckpointException(file.FullName, "not found");
        return file.Length <= LargestText ? File.ReadAllBytes(file.FullName)
            : throw new CheckpointException(file.FullName, $"{file.Length} bytes; at most {LargestText} expected");
    }
}
