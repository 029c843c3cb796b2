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
        var start = cache?.NextPosition ?? 0;
        var positions = MultimodalPositions.Of(sample, config.ImageToken, config.Vision.Merge, start, pictures);
        if (cache is not null)
            cache.NextPosition = positions.Next;
        return new Pass(sample, cache)
        {
            Positions = positions.Axes,
            ImageMask = sample.Images.Count > 0 ? positions.Mask : null,
        };
    }

    void CheckImage(ImagePatches image, int index)
    {
        var (vision, height, width, patches) = (config.Vision, image.GridHeight, image.GridWidth, image.Patches);
        if (image.Frames != 1)
            throw new ModelException($"Picture {index}: expected 1 frame, found {image.Frames}; videos are not supported.");
        if (height <= 0 || width <= 0 || height % vision.Merge != 0 || width % vision.Merge != 0)
            throw new ModelException(
                $"Picture {index}: expected a grid of multiples of {vision.Merge}, found {height} x {width}.");
        var (rows, values) = ((long)height * width, vision.PatchValues);
        if (patches.DType != DType.F32 || patches.Shape.Rank != 2 || patches.Rows != rows || patches.Columns != values)
            throw new ModelException($"Picture {index}: expected patches [{rows}, {values}] F32 " +
                $"for a grid of {height} x {width}, found {patches}.");
    }
}
