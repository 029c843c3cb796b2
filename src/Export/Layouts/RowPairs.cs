using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>
/// Two ways to put two 4-bit codes in a byte. Column pairs [out, in/2]: even column low. Row pairs [out/2, in]: even row low.
/// Bytes a, b of two rows become bytes of two columns by exchanging the high nibble of a with the low one of b; the way back is
/// the same.
/// </summary>
static class RowPairs
{
    /// <param name="codes">[out, in/2] U8, out even.</param>
    /// <returns>[out/2, in] U8.</returns>
    public static Tensor FromColumnPairs(Tensor codes)
    {
        var result = Tensor.Empty(new Shape(codes.Rows / 2, codes.Columns * 2L), DType.U8);
        Parallel.For(0, result.Rows, row =>
        {
            ReadOnlySpan<byte> even = codes.Row<byte>(2 * row), odd = codes.Row<byte>(2 * row + 1);
            var pairs = result.Row<byte>(row);
            for (var i = 0; i < even.Length; i++)
                (pairs[2 * i], pairs[2 * i + 1]) = Exchange(even[i], odd[i]);
        });
        return result;
    }

    /// <param name="pairs">[out/2, in] U8, in even.</param>
    /// <returns>[out, in/2] U8.</returns>
    public static Tensor ToColumnPairs(Tensor pairs)
    {
        var result = Tensor.Empty(new Shape(pairs.Rows * 2L, pairs.Columns / 2), DType.U8);
        Parallel.For(0, pairs.Rows, row =>
        {
            ReadOnlySpan<byte> source = pairs.Row<byte>(row);
            Span<byte> even = result.Row<byte>(2 * row), odd = result.Row<byte>(2 * row + 1);
            for (var i = 0; i < even.Length; i++)
                (even[i], odd[i]) = Exchange(source[2 * i], source[2 * i + 1]);
        });
        return result;
    }

    static (byte, byte) Exchange(byte a, byte b) => ((byte)(a & 15 | b << 4), (byte)(a >> 4 | b & 0xF0));
}
