using Nibble.Models.Config;
using Nibble.Tensors;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>Qwen2.5-VL (arXiv:2502.13923): vision tower, merger, and a Qwen2 decoder with multimodal rotary positions.</summary>
sealed class Qwen25VlNetwork : INetwork
{
    readonly Qwen25VlConfig config;
    readonly Decoder decoder;

    public Qwen25VlNetwork(Qwen25VlConfig config, ITensorSource names)
    {
        this.config = config;
        var language = Networks.FindPrefix(names, "embed_tokens.weight", "model.language_model", "model");
        var visual = Networks.FindPrefix(names, "patch_embed.proj.weight", "model.visual", "visual");
        decoder = new Decoder(config.Text, language, names);
        Stages = [.. VisionTower.Stages(config.Vision, visual), .. decoder.Stages];
    }

    public string ModelType => config.ModelType;

    public int VocabularySize => config.Text.Vocabulary;

    public IReadOnlyList<StageLoader> Stages { get; }

    public IReadOnlyList<StageLoader> LanguageStages => decoder.Stages;

    public KvCache NewCache(int capacity = 0) => decoder.NewCache(capacity);

    public bool CanContinue(KvCache cache, int tokens) => decoder.CanContinue(cache, tokens);

    public Pass Begin(Sample sample, KvCache? cache = null)
    {
        decoder.CheckTokens(sample.Ids);
        for (var i = 0; i < sample.Images.Count; i++)
            CheckImage(sample.Images[i], i);

        // While decoding, a placeholder the model itself came up with is a token like any other.
        var pictures = sample.Images.Count > 0 || cache is not { Length: > 0 };
        var positions = MultimodalPositions.Of(sample, config.ImageToken, config.Vision.Merge, cache?.NextPosition ?? 0, pictures);
        if (cache is not null)
            cache.NextPosition = positions.Next;
        return new Pass(sample, cache) { Positions = positions.Axes, ImageMask = sample.Images.Count > 0 ? positions.Mask : null };
    }

    void CheckImage(ImagePatches image, int index)
    {
        var vision = config.Vision;
        if (image.Frames != 1)
            throw new ModelException($"Picture {index}: expected 1 frame, found {image.Frames}; videos are not supported.");
        if (image.GridHeight <= 0 || image.GridWidth <= 0 || image.GridHeight % vision.Merge != 0 || image.GridWidth % vision.Merge != 0)
            throw new ModelException(
                $"Picture {index}: expected a grid of multiples of {vision.Merge}, found {image.GridHeight} x {image.GridWidth}.");
        var (patches, values) = ((long)image.GridHeight * image.GridWidth, vision.PatchValues);
        if (image.Patches.DType != DType.F32 || image.Patches.Shape.Rank != 2 || image.Patches.Rows != patches || image.Patches.Columns != values)
            throw new ModelException($"Picture {index}: expected patches [{patches}, {values}] F32 " +
                $"for a grid of {image.GridHeight} x {image.GridWidth}, found {image.Patches}.");
    }
}
