using System.Security.Cryptography;
using System.Text;
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
        new("model", OfModel(model)),
        new("recipe", recipe.Describe()),
        new("data", data?.Fingerprint ?? "none"),
        new("target", options.Target.Name),
    ];

    /// <summary>A hash of the configuration, of parts of the weights, and of what makes tokens and pixels.</summary>
    public static string OfModel(ModelFolder model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(model.Files.Folder.Config.Span);
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
        foreach (var name in Preprocessing.Where(name => File.Exists(model.In(name))))
            hash.AppendData(SHA256.HashData(File.ReadAllBytes(model.In(name))));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
