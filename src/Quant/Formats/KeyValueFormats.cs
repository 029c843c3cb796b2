namespace Nibble.Quant.Formats;

/// <summary>The formats of the key/value cache by name.</summary>
public static class KeyValueFormats
{
    /// <summary>The name for a cache that stays as it is.</summary>
    public const string None = "none";

    public static IReadOnlyList<KeyValueFormat> All { get; } = [new Fp8KeyValues(), new NvFp4KeyValues()];

    /// <summary>Looks up a name, also in ModelOpt's spelling (<c>kv_fp8</c>) and with the suffix (<c>fp8_kv</c>).</summary>
    /// <param name="format">Null for <see cref="None"/>.</param>
    /// <returns>Whether the name is known.</returns>
    public static bool TryFind(string name, out KeyValueFormat? format)
    {
        var plain = name.Replace('-', '_').ToLowerInvariant();
        plain = plain.StartsWith("kv_", StringComparison.Ordinal) ? plain[3..]
            : plain.EndsWith("_kv", StringComparison.Ordinal) ? plain[..^3] : plain;
        format = All.FirstOrDefault(known => known.Name == plain);
        return format is not null || plain == None;
    }
}
