using Nibble.Models.Config;
using Nibble.Models.Layers;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>The stages that turn pictures into features. A sample without pictures passes them untouched.</summary>
sealed class VisionTower(Qwen25VisionConfig config)
{
    /// <summary>ε of every norm of the tower; not in any config.json.</summary>
    public const float NormEpsilon = 1e-6f;

    readonly Recent<IReadOnlyList<ImagePatches>, VisionLayout> layouts = new(images => VisionLayout.Of(images, config));

    public Qwen25VisionConfig Config => config;

    public static IEnumerable<StageLoader> Stages(Qwen25VisionConfig config, string prefix)
    {
        var tower = new VisionTower(config);
        yield return PatchEmbedding.Loader(tower, $"{prefix}.patch_embed");
        for (var i = 0; i < config.Layers; i++)
            yield return VisionBlock.Loader(tower, i, $"{prefix}.blocks.{i}");
        yield return PatchMerger.Loader(tower, $"{prefix}.merger");
    }

    public VisionLayout Layout(Pass pass) => layouts.Of(pass.Sample.Images);
}
