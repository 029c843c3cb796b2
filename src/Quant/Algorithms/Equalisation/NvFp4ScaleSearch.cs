using System.Runtime.Intrinsics;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>Block scales a search chose for one matrix.</summary>
/// <param name="Ranges">[out, in / 16], the largest magnitude each block scale is made for.</param>
/// <param name="TensorScale">The scale of the matrix.</param>
public sealed record BlockScales(Tensor Ranges, float TensorScale)
{
    /// <summary>The codes under these scales.</summary>
    /// <exception cref="QuantizationException">The weight is not the one that was searched.</exception>
    public QuantizedWeight Quantize(Tensor weight) => RangedWeight.Quantize(weight, new NvFp4(), Ranges, TensorScale);
}

/// <summary>
/// Searches for the E4M3 block scales of NVFP4 weights. A block with range r gets, as ModelOpt simulates it,
/// s = E4M3(r/6 · k) / k with k = M / (amax of the matrix / 6), where M is the block scale the largest block gets.
/// </summary>
public static class NvFp4ScaleSearch
{
    /// <summary>M where a block's largest magnitude may be stored as 4 instead of 6: 256 · 1.5 is still an E4M3 number.</summary>
    const float HeadroomScale = 256;

    const float Nothing = 5.9604645e-8f; // 2^-24

    /// <summary>Per block the one of all 126 positive E4M3 numbers of least Σ (Q(w) - w)², the smallest of equals.</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="amax">The largest magnitude of all modules that share a scale; else the matrix' own.</param>
    /// <exception cref="QuantizationException">Weights or shapes that NVFP4 cannot store.</exception>
    public static BlockScales Sweep(Tensor weight, float? amax = null)
    {
        var search = new Matrix(weight, amax, Float8.LargestE4M3);
        return search.Choose(search.AllScales(), static (values, rounded, _) => SquaredError(values, rounded));
    }

    /// <summary>
    /// The same with the error weighed by the inputs: dwᵀ·H·dw (ModelOpt's <c>local_hessian</c>, which gathers H while inputs are
    /// rounded to NVFP4 in every layer and weights are not, each layer's own inputs before they are rounded).
    /// </summary>
    /// <param name="inputs">Second moments in blocks of 16.</param>
    /// <inheritdoc cref="Sweep"/>
    public static BlockScales LocalHessian(Tensor weight, BlockMoments inputs, float? amax = null)
    {
        if (inputs.Block != NvFp4.BlockSize || inputs.Width != weight.Columns)
            throw new QuantizationException(
                $"moments of {weight.Columns} inputs in blocks of {NvFp4.BlockSize} expected, " +
                $"found {inputs.Width} and {inputs.Block}");
        var search = new Matrix(weight, amax, Float8.LargestE4M3);
        return search.Choose(search.AllScales(), (values, rounded, block) =>
        {
            Span<double> error = stackalloc double[NvFp4.BlockSize];
            return Quadratic.Of(values, rounded, inputs.Of(block), error);
        });
    }

    /// <summary>The same with the error of every channel weighed by the mean square of its inputs: Σ importance·(Q(w) - w)².</summary>
    /// <param name="importance">[in], none negative.</param>
    /// <inheritdoc cref="Sweep"/>
    public static BlockScales Importance(Tensor weight, ReadOnlySpan<float> importance, float? amax = null)
    {
        if (importance.Length != weight.Columns)
            throw new QuantizationException($"the importance of {weight.Columns} inputs expected, found {importance.Length}");
        var weights = importance.ToArray();
        var search = new Matrix(weight, amax, Float8.LargestE4M3);
        return search.Choose(search.AllScales(), (values, rounded, block) =>
        {
            var off = Vector512.Create(rounded) - Vector512.Create(values);
            return Vector512.Sum(off * off * Vector512.Create<float>(weights.AsSpan(block * NvFp4.BlockSize, NvFp4.BlockSize)));
        });
    }

    /// <summary>
    /// Four over six (J. Cook et al., arXiv:2512.02010): per block its largest magnitude is stored as 6 or, with a scale 1.5
    /// times as large, as 4, whichever has the smaller Σ (Q(w) - w)².
    /// </summary>
    /// <inheritdoc cref="Sweep"/>
    public static BlockScales FourOverSix(Tensor weight, float? amax = null)
    {
        var search = new Matrix(weight, amax, HeadroomScale);
        return search.Choose(own => [own, own * 1.5f], static (values, rounded, _) => SquaredError(values, rounded));
    }

    /// <summary>One block under a range, written out.</summary>
    internal static void PlainRound(ReadOnlySpan<float> values, float range, float amax, float largestScale, Span<float> rounded)
    {
        var scale = Scale(range, ScaleFactor(amax, largestScale));
        for (var i = 0; i < values.Length; i++)
            rounded[i] = scale == 0 ? 0 : Float4.FromE2M1(Float4.ToE2M1(values[i] / scale)) * scale;
    }

    static float ScaleFactor(float amax, float largestScale)
    {
        var sixth = amax * (Float8.LargestE4M3 / largestScale) / Float4.LargestE2M1;
        return Float8.LargestE4M3 / (sixth <= Nothing ? 1 : sixth);
    }

    static float Scale(float range, float factor) =>
        Float8.FromE4M3(Float8.ToE4M3(range / Float4.LargestE2M1 * factor)) * (1 / factor);

    static void Round(ReadOnlySpan<float> values, float scale, Span<float> rounded)
    {
        if (scale == 0)
        {
            rounded.Clear();
            return;
        }
        var ratios = Vector512.Create(values) / Vector512.Create(scale);
        (Float4.FromE2M1(Float4.ToE2M1(ratios)) * Vector512.Create(scale)).CopyTo(rounded);
    }

    static double SquaredError(ReadOnlySpan<float> values, ReadOnlySpan<float> rounded)
    {
        var off = Vector512.Create(rounded) - Vector512.Create(values);
        return Vector512.Sum(off * off);
    }

    delegate double Loss(ReadOnlySpan<float> values, ReadOnlySpan<float> rounded, int block);

    /// <summary>A matrix and how its block scales are counted.</summary>
    sealed class Matrix
    {
        readonly Tensor weight;
        readonly float amax, largestScale, factor;

        public Matrix(Tensor weight, float? amax, float largestScale)
        {
            this.weight = ChannelScaling.Matrix(weight, weight.Columns);
            if (new NvFp4().Refuse(weight.Rows, weight.Columns) is { } reason)
                throw new QuantizationException($"weight: {weight} cannot be stored as NVFP4: {reason}");
            this.amax = amax ?? WeightQuantizer.AbsMax(this.weight);
            if (!(this.amax >= 0 && float.IsFinite(this.amax)))
                throw new QuantizationException($"a largest magnitude cannot be {this.amax}");
            this.largestScale = largestScale;
            factor = ScaleFactor(this.amax, largestScale);
        }

        public Func<float, float[]> AllScales()
        {
            float[] ranges = [.. Enumerable.Range(1, 126)
                .Select(code => Float8.FromE4M3((byte)code) / Float8.LargestE4M3 * amax)];
            return _ => ranges;
        }

        public BlockScales Choose(Func<float, float[]> candidates, Loss loss)
        {
            var ranges = Tensor.Empty(weight.Rows, weight.Columns / NvFp4.BlockSize);
            Threads.For(weight.Rows, 4, (start, end) =>
            {
                Span<float> rounded = stackalloc float[NvFp4.BlockSize];
                for (var row = start; row < end; row++)
                    for (var block = 0; block < ranges.Columns; block++)
                    {
                        ReadOnlySpan<float> values = weight.Row(row).Slice(block * NvFp4.BlockSize, NvFp4.BlockSize);
                        var (best, least) = (0f, double.PositiveInfinity);
                        foreach (var range in candidates(Amax.Of(values)))
                        {
                            Round(values, Scale(range, factor), rounded);
                            var error = loss(values, rounded, block);
                            if (error < least)
                                (best, least) = (range, error);
                        }
                        ranges.Row(row)[block] = best;
                    }
            });
            return new BlockScales(ranges, Amax.ForScale(amax, Float4.LargestE2M1) / (Float4.LargestE2M1 * largestScale));
        }
    }
}
