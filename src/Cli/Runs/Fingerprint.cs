using System.Security.Cryptography;
using System.Text;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Runs;

/// <summary>What must be the same for an interrupted run to be continued.</summary>
static class Fingerprint
{
    /// <summary>Bytes hashed at a time.</summary>
    const int Sampled = 1 << 20;

    /// <summary>Places of a large weight file that are hashed; hashing a whole 72B model would cost minutes.</summary>
    const int Places = 32;

    /// <summary>What turns calibration data into tokens and pixels.</summary>
    static readonly string[] Preprocessing = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json"];

    public static List<KeyValuePair<string, string>> Of(ModelFolder model, Recipe recipe, CalibrationFiles? data, RunOptions options) =>
    [
        new("version", Product.Version),
        new("model", HashOf(Files(model))),
        new("recipe", recipe.Describe()),
        new("data", data?.Fingerprint ?? "none"),
        new("target", options.Target.Name),
    ];

    /// <summary>What statistics of a model are valid for.</summary>
    public static List<ModelField> Fields(ModelFolder model) =>
        [.. Files(model), .. model.Rotation == Rotation.None ? [] : (ModelField[])[new("rotation", Words.Of(model.Rotation))]];

    static ModelField[] Files(ModelFolder model) =>
    [
        new("model type", model.Network.ModelType),
        new("config.json", Convert.ToHexStringLower(SHA256.HashData(model.Files.Folder.Config.Span))),
        new("weights", Weights(model)),
        new("preprocessing", HashOf(Preprocessing.Where(name => File.Exists(model.In(name))).Select(name => File.ReadAllBytes(model.In(name))))),
    ];

    /// <summary>A hash of the configuration, of parts of the weights, of what makes tokens and pixels, and of a rotation.</summary>
    public static string OfModel(ModelFolder model) => HashOf(Fields(model));

    static string HashOf(IEnumerable<ModelField> fields) => HashOf(fields.Select(field => Encoding.UTF8.GetBytes(field.Value)));

    static string Weights(ModelFolder model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[Sampled];
        foreach (var shard in model.Files.Folder.Shards)
        {
            using var stream = File.OpenRead(shard.Path);
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(shard.Path)}:{stream.Length};"));
            hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false));
            for (var place = 1; place <= Places && stream.Position < stream.Length; place++)
            {
                stream.Position = Math.Max(stream.Position, Math.Max(0, stream.Length - Sampled) / Places * place);
                hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false));
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    static string HashOf(IEnumerable<byte[]> parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var part in parts)
            hash.AppendData(SHA256.HashData(part));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
