namespace Nibble.Models.Config;

/// <summary>Which layers attend to a window only.</summary>
enum WindowRule
{
    /// <summary>None, whatever the configuration says.</summary>
    Never,

    /// <summary>All, where <c>sliding_window</c> is not null.</summary>
    EveryLayer,

    /// <summary>All, but only where <c>use_sliding_window</c> is true.</summary>
    EveryLayerOnRequest,

    /// <summary>Those from <c>max_window_layers</c> on, and only where <c>use_sliding_window</c> is true.</summary>
    UpperLayers,
}

/// <summary>What a model type means where its configuration is silent, and the few things it never writes down.</summary>
/// <param name="KeyValueHeads">Null: as many as query heads.</param>
/// <param name="HeadWidth">Null: width divided by heads.</param>
/// <param name="MaxWindowLayers">The first layer with a window, where <c>layer_types</c> does not say.</param>
/// <param name="QueryKeyNorm">Queries and keys are normalised per head before the rotary embedding.</param>
/// <param name="Experts">Layers may have a mixture of experts.</param>
/// <remarks>Defaults of Transformers' configuration classes of the same names.</remarks>
sealed record TextFamily(
    int? KeyValueHeads, int? HeadWidth, double NormEpsilon, double RopeTheta, int MaxPositions,
    bool QueryKeyNorm, WindowRule Windows, int MaxWindowLayers, bool Experts = false)
{
    public static readonly TextFamily Llama = new(null, null, 1e-6, 1e4, 2048, false, WindowRule.Never, 0);

    public static readonly TextFamily Mistral = new(8, null, 1e-6, 1e4, 131_072, false, WindowRule.EveryLayer, 0);

    public static readonly TextFamily Qwen2 = new(32, null, 1e-6, 1e4, 32_768, false, WindowRule.UpperLayers, 28);

    public static readonly TextFamily Qwen3 = new(32, 128, 1e-6, 1e4, 32_768, true, WindowRule.UpperLayers, 28);

    public static readonly TextFamily Qwen3Moe =
        new(4, null, 1e-6, 1e4, 32_768, true, WindowRule.EveryLayerOnRequest, 0, Experts: true);

    public static readonly TextFamily Qwen25Vl = new(8, null, 1e-5, 1e6, 32_768, false, WindowRule.UpperLayers, 80);
}
