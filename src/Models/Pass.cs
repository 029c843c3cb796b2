using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>A picture as the vision tower takes it.</summary>
/// <param name="Patches">[patches, channels · temporal · patch · patch] F32.</param>
/// <param name="Frames">Temporal grid size; 1 for a picture.</param>
/// <param name="GridHeight">Patches down.</param>
/// <param name="GridWidth">Patches across.</param>
public sealed record ImagePatches(Tensor Patches, int Frames, int GridHeight, int GridWidth);

/// <summary>One sequence: token ids with image placeholders already expanded, and the pictures in order.</summary>
public sealed record Sample(int[] Ids, IReadOnlyList<ImagePatches> Images)
{
    public Sample(params int[] ids) : this(ids, []) { }
}

/// <summary>What is known of one sample between two stages.</summary>
public sealed class Pass(Sample sample, KvCache? cache)
{
    public Sample Sample { get; private set; } = sample;

    /// <summary>Forgets the pixels once the vision tower has taken them in; the sizes of the pictures stay known.</summary>
    public void ReleasePictures()
    {
        if (Hidden is not null && Sample.Images.Count > 0)
            Sample = Sample with { Images = [.. Sample.Images.Select(image => image with { Patches = Tensor.Empty(0) })] };
    }

    /// <summary>A pass that stands where this one does and goes its own way from here. Without a cache.</summary>
    public Pass Fork() => new(Sample, null)
    {
        Hidden = Hidden?.Clone()!,
        Input = Input?.Clone(),
        Routes = Routes,
        ImageFeatures = ImageFeatures?.Clone(),
        Positions = Positions,
        ImageMask = ImageMask,
        LastLogitsOnly = LastLogitsOnly,
    };

    /// <summary>Null when the sequence is seen once and not continued.</summary>
    public KvCache? Cache { get; } = cache;

    /// <summary>[T, D]: the residual stream of the language model, or [patches, Dv] while in the vision tower.</summary>
    public Tensor Hidden { get; set; } = null!;

    /// <summary>
    /// [T, in]: what the next modules of a stage are multiplied with, or the inner rows of all experts; null between stages.
    /// </summary>
    public Tensor? Input { get; set; }

    /// <summary>Which experts the tokens go through; null between stages, and where a stage has no experts.</summary>
    public Routes? Routes { get; set; }

    /// <summary>[image tokens, D]: features to be written into the placeholders; null without pictures.</summary>
    public Tensor? ImageFeatures { get; set; }

    /// <summary>[3, T] positions (temporal, height, width), or [1, T]; set by <see cref="INetwork.Begin"/>.</summary>
    public int[][] Positions { get; set; } = [];

    /// <summary>True per token where an image feature stands; null without pictures.</summary>
    public bool[]? ImageMask { get; set; }

    /// <summary>Only the last token's logits are wanted.</summary>
    public bool LastLogitsOnly { get; set; }

    /// <summary>[T, V] or [1, V]; set by the head.</summary>
    public Tensor? Logits { get; set; }

    /// <summary>
    /// Called by stages with intermediate results under the names of <see cref="Observed"/>; null when nobody asks.
    /// The tensor may be released when the call returns: copy what is to be kept.
    /// </summary>
    public Action<string, Tensor>? Observe { get; set; }
}
