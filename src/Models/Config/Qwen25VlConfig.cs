namespace Nibble.Models.Config;

/// <summary>Qwen2.5-VL (arXiv:2502.13923): a vision tower with windows, a merger, a decoder with multimodal positions.</summary>
/// <param name="ImageToken">The placeholder that an image feature replaces.</param>
public sealed record Qwen25VlConfig(
    string ModelType, DecoderConfig Text, IReadOnlyList<int> EndTokens, Qwen25VisionConfig Vision, int ImageToken)
    : ModelConfig(ModelType, Text, EndTokens)
{
    const int PublishedImageToken = 151_655;

    internal static Qwen25VlConfig Read(ConfigObject config, string type)
    {
        // The newer style moves the language model's keys into text_config. The tie is a matter of the whole model.
        var language = config.Child("text_config") ?? config;
        var text = DecoderConfig.Read(language, TextFamily.Qwen25Vl, config.Flag("tie_word_embeddings", false));
        if (text.RopeSections is null)
            throw language.Wrong(language.Has("rope_parameters") ? "rope_parameters" : "rope_scaling",
                "an mrope_section of three numbers");

        var visionConfig = config.Child("vision_config") ?? throw config.Wrong("vision_config", "an object");
        var vision = Qwen25VisionConfig.Read(visionConfig);
        if (vision.OutWidth != text.Width)
            throw visionConfig.Wrong("out_hidden_size", $"the language model's hidden_size {text.Width} (default 3584)");

        var ends = ModelConfig.ReadEndTokens(config);
        return new Qwen25VlConfig(type, text, ends.Length > 0 ? ends : ModelConfig.ReadEndTokens(language), vision,
            config.Integer("image_token_id", 0, text.Vocabulary - 1, PublishedImageToken));
    }
}

/// <summary>The vision tower of Qwen2.5-VL.</summary>
/// <param name="PatchSize">Pixels on the side of a patch.</param>
/// <param name="TemporalPatch">Frames in a patch; a picture is repeated to fill them.</param>
/// <param name="Merge">Patches on the side of the square that becomes one token.</param>
/// <param name="WindowSize">Pixels on the side of an attention window.</param>
/// <param name="FullAttention">Blocks that attend over the whole picture.</param>
/// <param name="OutWidth">Width of a feature, the language model's D.</param>
public sealed record Qwen25VisionConfig(
    int Layers, int Width, int Heads, int MlpWidth, int Channels, int PatchSize, int TemporalPatch, int Merge, int WindowSize,
    IReadOnlyList<int> FullAttention, int OutWidth)
{
    const int MostLayers = 1024, MostHeads = 1024, Widest = 1 << 16, WidestMlp = 1 << 18;
    const int LargestPatch = 256, LargestWindow = 1 << 16;

    /// <summary>Values behind one token: the patches of a unit side by side.</summary>
    public int UnitWidth => Merge * Merge * Width;

    static readonly int[] PublishedFullAttention = [7, 15, 23, 31];

    /// <summary>Values of one patch: channels · frames · pixels.</summary>
    public int PatchValues => Channels * TemporalPatch * PatchSize * PatchSize;

    /// <summary>Merged units on the side of a window.</summary>
    public int WindowUnits => WindowSize / Merge / PatchSize;

    internal static Qwen25VisionConfig Read(ConfigObject config)
    {
        DecoderConfig.ReadActivation(config);
        var layers = config.Integer("depth", 1, MostLayers, 32);
        var width = config.Integer("hidden_size", 1, Widest, 3584);
        var heads = config.Integer("num_heads", 1, MostHeads, 16);
        // Half of a head turns with the row, half with the column, and a rotation needs pairs.
        if (width % heads != 0 || width / heads % 4 != 0)
            throw config.Wrong("num_heads", $"a divisor of hidden_size {width} with heads that are multiples of 4 wide");
        var patch = config.Integer("patch_size", 1, LargestPatch, 14);
        var merge = config.Integer("spatial_merge_size", 1, 64, 2);
        var window = config.Integer("window_size", 1, LargestWindow, 112);
        if (window / merge / patch == 0)
            throw config.Wrong("window_size", $"at least spatial_merge_size · patch_size = {merge * patch}");

        return new Qwen25VisionConfig(layers, width, heads, config.Integer("intermediate_size", 1, WidestMlp, 3420),
            config.Integer(config.Has("in_channels") ? "in_channels" : "in_chans", 1, 64, 3), patch,
            config.Integer("temporal_patch_size", 1, 64, 2), merge, window,
            config.Integers("fullatt_block_indexes", 0, layers - 1, layers) ?? [.. PublishedFullAttention.Where(i => i < layers)],
            config.Integer("out_hidden_size", 1, 1 << 18, 3584));
    }
}
