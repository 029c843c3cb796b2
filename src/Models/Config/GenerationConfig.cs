namespace Nibble.Models.Config;

/// <summary>What a checkpoint suggests for generation; absent values are null.</summary>
/// <param name="EndTokens">Tokens that end an answer; they take the place of those in config.json where there are any.</param>
/// <param name="Sample">False: greedy, whatever the other values say.</param>
public sealed record GenerationConfig(
    IReadOnlyList<int> EndTokens, bool Sample, double? Temperature, int? TopK, double? TopP, double? MinP, double? RepetitionPenalty)
{
    /// <summary>Reads a <c>generation_config.json</c>.</summary>
    /// <exception cref="ModelException">Not JSON, or a value that cannot be; the message names <paramref name="origin"/> and the key.</exception>
    public static GenerationConfig Parse(ReadOnlySpan<byte> json, string origin)
    {
        var config = ConfigObject.Parse(json, origin);
        return new GenerationConfig(
            ModelConfig.ReadEndTokens(config),
            config.Flag("do_sample", false),
            Optional(config, "temperature", 100),
            config.Has("top_k") ? config.Integer("top_k", 0, int.MaxValue) : null,
            Optional(config, "top_p", 1),
            Optional(config, "min_p", 1),
            Optional(config, "repetition_penalty", 100));
    }

    static double? Optional(ConfigObject config, string key, double most) =>
        config.Has(key) ? config.Number(key, 0, most) : null;
}
