using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// Second moments Σ x·xᵀ inside each block of consecutive channels, in double: what an error in one block of weights costs at the
/// output, dwᵀ·H·dw. Merges up to the rounding of sums.
/// </summary>
public sealed class BlockMoments : IStatistic<BlockMoments>
{
    readonly string name;
    readonly int sampledTokens;
    readonly double[] sums; // [block, g, g]

    /// <param name="name">The module, for errors.</param>
    /// <param name="width">Input channels.</param>
    /// <param name="block">Channels of a block, which divides the width.</param>
    /// <param name="sampledTokens">
    /// 0: every token counts once. Else a call of T tokens counts once as a whole, by the mean over every max(1, T / this)-th
    /// token.
    /// </param>
    public BlockMoments(string name, int width, int block, int sampledTokens = 0)
    {
        if (block <= 0 || width % block != 0)
            throw new QuantizationException($"{name}: {width} inputs are not a multiple of the block {block}");
        (this.name, Width, Block, this.sampledTokens) = (name, width, block, sampledTokens);
        sums = new double[checked(width * block)];
    }

    public int Width { get; }

    public int Block { get; }

    public int Blocks => Width / Block;

    /// <summary>H of one block, [g, g], symmetric.</summary>
    public ReadOnlySpan<double> Of(int block) => sums.AsSpan(block * Block * Block, Block * Block);

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <param name="share">What part of a call's tokens these are; it counts only where a call counts as a whole.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x, double share = 1)
    {
        StatisticTensors.CheckActivations(name, x, Width);
        var stride = sampledTokens == 0 ? 1 : Math.Max(1, x.Rows / sampledTokens);
        var weight = sampledTokens == 0 ? 1 : share / ((x.Rows + stride - 1) / stride);
        Threads.For(Blocks, 1, (start, end) =>
        {
            var wide = new double[Block];
            for (var block = start; block < end; block++)
                for (var row = 0; row < x.Rows; row += stride)
                {
                    TensorPrimitives.ConvertChecked<float, double>(x.Row(row).Slice(block * Block, Block), wide);
                    Add(wide, weight, sums.AsSpan(block * Block * Block, Block * Block));
                }
        });
    }

    public void Merge(BlockMoments other)
    {
        StatisticTensors.CheckSame(name, "channels", Width, other.Width);
        StatisticTensors.CheckSame(name, "channels a block", Block, other.Block);
        TensorPrimitives.Add(sums, other.sums, sums);
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["block_moments"] = StatisticTensors.Of<double>(sums, DType.F64, Blocks, Block, Block),
    };

    public static BlockMoments FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var shape = tensors.Get(name, "block_moments", DType.F64, 3).Shape;
        if (shape[1] != shape[2] || shape[1] == 0)
            throw new QuantizationException($"{name}: block_moments must be [blocks, g, g], found {shape}");
        var result = new BlockMoments(name, checked((int)(shape[0] * shape[1])), (int)shape[1]);
        tensors.Sums<double>(name, "block_moments", DType.F64, 3).CopyTo(result.sums, 0);
        return result;
    }

    static void Add(ReadOnlySpan<double> x, double weight, Span<double> sums)
    {
        for (var i = 0; i < x.Length; i++)
        {
            var row = sums.Slice(i * x.Length, x.Length);
            TensorPrimitives.MultiplyAdd(x, weight * x[i], row, row);
        }
    }
}
