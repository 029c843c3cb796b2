using System.Security.Cryptography;
using System.Text;
using Nibble.Cli.Commands;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Runs;

/// <summary>What must be the same for an interrupted run to be continued.</summary>
static class Fingerprint
{
    /// <summary>Bytes hashed at both ends of each weight file; hashing a whole 72B model would cost minutes.</summary>
    const int Sampled = 1 << 20;

    public static List<KeyValuePair<string, string>> Of(ModelFolder model, Recipe recipe, CalibrationFiles? data, RunOptions options) =>
    [
        new("version", DoctorCommand.Version),
        new("model", Model(model)),
        new("recipe", recipe.Describe()),
        new("data", data?.Fingerprint ?? "none"),
        new("target", options.Target.ToString()),
    ];

    static string Model(ModelFolder model)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(model.Files.Folder.Config.Span);
        var buffer = new byte[Sampled];
        foreach (var shard in model.Files.Folder.Shards)
        {
            using var stream = File.OpenRead(shard.Path);
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(shard.Path)}:{stream.Length};"));
            hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false));
            stream.Seek(-Math.Min(Sampled, stream.Length), SeekOrigin.End);
            hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
