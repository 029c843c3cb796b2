using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>What a clipping search chose for blocks.</summary>
/// <param name="Ranges">[out, blocks], the clipped largest magnitudes, as <see cref="RangedWeight"/> takes them.</param>
/// <param name="Losses">[ratio, out, block].</param>
public sealed record BlockClip(Tensor Ranges, Tensor Losses);

/// <summary>What a clipping search chose for a whole matrix.</summary>
/// <param name="Range">The clipped largest magnitude.</param>
/// <param name="Losses">One per ratio.</param>
public sealed record TensorClip(float Range, double[] Losses);

/// <summary>
/// AWQ's clipping (arXiv:2306.00978, as ModelOpt's <c>awq_clip</c> searches it): the largest magnitudes are lowered to the ratio
/// of least error, the first of equals. AWQ "full" is <see cref="Awq"/> and then this on its scaled weights.
/// </summary>
public static class AwqClip
{
    /// <summary>Tokens of a call that ModelOpt looks at, for <see cref="BlockMoments"/>; between this and its double.</summary>
    public const int SampledTokens = 64;

    /// <summary>0.5, 0.55, … 1.</summary>
    public static IReadOnlyList<float> Ratios { get; } = [.. Enumerable.Range(10, 11).Select(i => (float)(i * 0.05))];

    /// <summary>
    /// For formats with a range per row and block: the loss is Σ over calls of the mean of (Σ over the block of x·(Q(w) - w))²,
    /// which is dwᵀ·H·dw.
    /// </summary>
    /// <param name="weight">[out, in], scaled by AWQ if that came before.</param>
    /// <param name="inputs">Of unscaled inputs, in blocks of the format's group, <see cref="SampledTokens"/> a call.</param>
    /// <param name="preQuantScale">[in], what AWQ multiplies the inputs with; empty for none.</param>
    /// <exception cref="QuantizationException">Shapes that do not fit; a format without a range per block.</exception>
    public static BlockClip PerBlock(
        Tensor weight, WeightFormat format, BlockMoments inputs, ReadOnlySpan<float> preQuantScale = default)
    {
        var rounding = SimulatedRounding.Of(format);
        if (rounding.Group != inputs.Block)
            throw new QuantizationException(
                $"{format}: clipping per block needs ranges of {inputs.Block} inputs, found {rounding.Group}");
        var matrix = ChannelScaling.Matrix(weight, inputs.Width);
        var scale = preQuantScale.ToArray();
        var ranges = rounding.Ranges(matrix);
        var losses = Tensor.Empty(Ratios.Count, matrix.Rows, inputs.Blocks);
        Threads.For(inputs.Blocks, 1, (start, end) =>
        {
            var (rounded, error) = (new float[inputs.Block], new double[inputs.Block]);
            for (var block = start; block < end; block++)
            {
                var moments = Scaled(inputs.Of(block), scale.AsSpan(scale.Length == 0 ? 0 : block * inputs.Block), inputs.Block);
                for (var row = 0; row < matrix.Rows; row++)
                {
                    ReadOnlySpan<float> values = matrix.Row(row).Slice(block * inputs.Block, inputs.Block);
                    ref var range = ref ranges.Row(row)[block];
                    var (best, least) = (Ratios.Count - 1, double.PositiveInfinity);
                    for (var i = 0; i < Ratios.Count; i++)
                    {
                        rounding.Round(values, range * Ratios[i], rounded);
                        var loss = Quadratic.Of(values, rounded, moments, error);
                        losses.Row(i * matrix.Rows + row)[block] = (float)loss;
                        if (loss < least)
                            (best, least) = (i, loss);
                    }
                    range *= Ratios[best];
                }
            }
        });
        return new BlockClip(ranges, losses);
    }

    /// <summary>
    /// For formats whose blocks follow one range of the matrix (NVFP4, FP8): the loss is that of <see cref="Awq"/>.
    /// </summary>
    /// <param name="weight">[out, in], scaled by AWQ if that came before.</param>
    /// <param name="inputs">Of unscaled inputs.</param>
    /// <param name="preQuantScale">[in], what AWQ multiplies the inputs with; empty for none.</param>
    /// <exception cref="QuantizationException">Shapes that do not fit; a format with more ranges than one.</exception>
    public static TensorClip PerTensor(
        Tensor weight, WeightFormat format, AwqInputs inputs, ReadOnlySpan<float> preQuantScale = default)
    {
        var rounding = SimulatedRounding.Of(format);
        if (rounding.Group >= 0 || !format.HasTensorScale)
            throw new QuantizationException($"{format}: clipping per matrix needs a format with a scale of the matrix");
        var matrix = ChannelScaling.Matrix(weight, inputs.Width, inputs.Name);
        var range = rounding.Ranges(matrix).Row(0)[0];
        using var difference = Tensor.Empty(matrix.Shape);
        var losses = new double[Ratios.Count];
        var best = 0;
        for (var i = 0; i < losses.Length; i++)
        {
            rounding.Round(matrix, Tensor.From([range * Ratios[i]], 1, 1), difference);
            for (var row = 0; row < matrix.Rows; row++)
            {
                var error = difference.Row(row);
                TensorPrimitives.Subtract(error, matrix.Row(row), error);
                if (!preQuantScale.IsEmpty)
                    TensorPrimitives.Multiply(error, preQuantScale, error);
            }
            losses[i] = inputs.OutputError(difference);
            if (losses[i] < losses[best])
                best = i;
        }
        return new TensorClip(range * Ratios[best], losses);
    }

    /// <summary>The moments of inputs that are multiplied by <paramref name="scale"/>.</summary>
    static double[] Scaled(ReadOnlySpan<double> moments, ReadOnlySpan<float> scale, int block)
    {
        var result = moments.ToArray();
        if (!scale.IsEmpty)
            for (var i = 0; i < result.Length; i++)
                result[i] *= (double)scale[i / block] * scale[i % block];
        return result;
    }
}
