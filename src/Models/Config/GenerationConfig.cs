using Nibble.Tensors.Ops;

namespace Nibble.Models.Config;

/// <summary>What a checkpoint suggests for generation. A value it leaves open changes nothing.</summary>
/// <param name="EndTokens">Tokens that end an answer; where there are any, they take the place of those in config.json.</param>
public sealed record GenerationConfig(IReadOnlyList<int> EndTokens, SamplingOptions Sampling)
{
    /// <summary>Reads a <c>generation_config.json</c>.</summary>
    /// <exception cref="ModelException">Not JSON, or a value that cannot be; the message names file and key.</exception>
    public static GenerationConfig Parse(ReadOnlySpan<byte> json, string origin)
    {
        var config = ConfigObject.Parse(json, origin);
        return new GenerationConfig(ModelConfig.ReadEndTokens(config), new SamplingOptions
        {
            DoSample = config.Flag("do_sample", false),
            Temperature = config.Number("temperature", 0, 100, 1),
            TopK = config.Integer("top_k", 0, int.MaxValue, 0),
            TopP = config.Number("top_p", 0, 1, 1),
            MinP = config.Number("min_p", 0, 1, 0),
            TypicalP = config.Number("typical_p", 0, 1, 1),
            RepetitionPenalty = config.Number("repetition_penalty", 1e-3, 100, 1),
            NoRepeatNgramSize = config.Integer("no_repeat_ngram_size", 0, int.MaxValue, 0),
        });
    }
}
