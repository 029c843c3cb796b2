using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>A matrix of low rank, Up·Down.</summary>
/// <param name="Down">A [rank, in].</param>
/// <param name="Up">B [out, rank].</param>
public sealed record LowRank(Tensor Down, Tensor Up)
{
    public int Rank => Down.Rows;

    public long Bytes => Down.Bytes + Up.Bytes;
}
