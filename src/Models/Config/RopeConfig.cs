using Nibble.Tensors.Ops;

namespace Nibble.Models.Config;

/// <summary>
/// The rotary embedding of a configuration: <c>rope_parameters</c>, or the older <c>rope_scaling</c> beside <c>rope_theta</c>.
/// </summary>
static class RopeConfig
{
    const double LargestTheta = 1e12, LargestFactor = 1e6;
    const int MostPositions = 1 << 30;

    /// <returns>The parameters, and how many frequencies follow each of three positions; null: there is one.</returns>
    public static (RopeParameters Parameters, int[]? Sections) Read(
        ConfigObject config, int headWidth, double defaultTheta, int maxPositions)
    {
        var theta = config.Number("rope_theta", 1, LargestTheta, defaultTheta);
        config.Number("partial_rotary_factor", 1, 1, 1);
        if ((config.Child("rope_parameters") ?? config.Child("rope_scaling")) is not { } rope)
            return (new RopeParameters(headWidth, 1, theta, maxPositions, new RopeScaling.Default()), null);

        foreach (var perLayerType in (string[])["full_attention", "sliding_attention"])
            if (rope.Has(perLayerType))
                throw rope.Wrong(perLayerType, "one set of parameters for all layers");
        theta = rope.Number("rope_theta", 1, LargestTheta, theta);
        rope.Number("partial_rotary_factor", 1, 1, 1);
        var scaling = ReadScaling(rope, config, headWidth / 2, maxPositions);
        return (new RopeParameters(headWidth, 1, theta, maxPositions, scaling), ReadSections(rope, headWidth / 2));
    }

    static RopeScaling ReadScaling(ConfigObject rope, ConfigObject config, int frequencies, int maxPositions)
    {
        var type = rope.Text("rope_type") ?? rope.Text("type");
        return type switch
        {
            "default" or "mrope" => new RopeScaling.Default(),
            null when !rope.Has("factor") => new RopeScaling.Default(),
            "linear" => new RopeScaling.Linear(Factor(rope)),
            "dynamic" => new RopeScaling.Dynamic(Factor(rope)),
            "llama3" => new RopeScaling.Llama3(Factor(rope),
                rope.Number("low_freq_factor", 1e-6, LargestFactor), rope.Number("high_freq_factor", 1e-6, LargestFactor),
                rope.Integer("original_max_position_embeddings", 1, MostPositions)),
            "yarn" => ReadYarn(rope, maxPositions),
            "longrope" or "su" => ReadLongRope(rope, config, frequencies, maxPositions),
            _ => throw rope.Wrong(rope.Has("rope_type") || !rope.Has("type") ? "rope_type" : "type",
                "one of default, dynamic, linear, llama3, longrope, mrope, su, yarn"),
        };
    }

    static RopeScaling.Yarn ReadYarn(ConfigObject rope, int maxPositions)
    {
        var original = rope.Integer("original_max_position_embeddings", 1, MostPositions, maxPositions);
        var factor = rope.Number("factor", 1e-6, LargestFactor, (double)maxPositions / original);
        // DeepSeek writes two magnitudes; what counts is their ratio.
        var natural = rope.Has("mscale") && rope.Has("mscale_all_dim")
            ? RopeScaling.Yarn.Magnitude(factor, rope.Number("mscale", 0, LargestFactor)) /
              RopeScaling.Yarn.Magnitude(factor, rope.Number("mscale_all_dim", 0, LargestFactor))
            : RopeScaling.Yarn.Magnitude(factor);
        return new RopeScaling.Yarn(factor, original, rope.Number("beta_fast", 1e-6, LargestFactor, 32),
            rope.Number("beta_slow", 1e-6, LargestFactor, 1), rope.Flag("truncate", true))
        {
            AttentionFactor = rope.Number("attention_factor", 1e-6, LargestFactor, natural),
        };
    }

    static RopeScaling.LongRope ReadLongRope(ConfigObject rope, ConfigObject config, int frequencies, int maxPositions)
    {
        var shortFactors = Factors(rope, "short_factor", frequencies);
        var longFactors = Factors(rope, "long_factor", frequencies);
        var original = config.Integer("original_max_position_embeddings", 2, MostPositions,
            rope.Integer("original_max_position_embeddings", 2, MostPositions, Math.Max(2, maxPositions)));
        var factor = rope.Number("factor", 1e-6, LargestFactor, (double)maxPositions / original);
        var natural = RopeScaling.LongRope.AttentionFactor(factor, original);
        var attention = rope.Number("attention_factor", 1e-6, LargestFactor, natural);
        return new RopeScaling.LongRope(original, shortFactors, longFactors, attention, attention);
    }

    static double Factor(ConfigObject rope) => rope.Number("factor", 1e-6, LargestFactor);

    static double[] Factors(ConfigObject rope, string key, int count) =>
        rope.Numbers(key) is { } factors && factors.Length == count && factors.All(factor => factor > 0)
            ? factors
            : throw rope.Wrong(key, count == 1 ? "1 number above 0" : $"{count} numbers above 0");

    static int[]? ReadSections(ConfigObject rope, int frequencies)
    {
        var sections = rope.Integers("mrope_section", 0, frequencies, 3);
        return sections is null || sections.Length == 3 && sections.Sum() == frequencies
            ? sections
            : throw rope.Wrong("mrope_section", $"three numbers that add up to half a head, {frequencies}");
    }
}
