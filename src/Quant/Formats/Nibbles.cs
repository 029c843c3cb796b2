using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Formats;

/// <summary>Rows of four-bit codes, the even column in the low nibble.</summary>
static class Nibbles
{
    /// <summary>Sixteen codes at a time from sixteen ratios.</summary>
    internal interface IEncoder
    {
        static abstract Vector512<uint> Code(Vector512<float> ratios);
    }

    /// <summary>Sixteen codes to sixteen numbers.</summary>
    internal interface IDecoder
    {
        static abstract Vector512<float> Values(ref byte codes, Vector512<float> numbers);
    }

    /// <summary>codes[i] = code of row[i] / scale of its group. The row is whole groups, and a group a multiple of sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Encode<T>(ReadOnlySpan<float> row, ReadOnlySpan<float> scales, int group, Span<byte> codes)
        where T : IEncoder
    {
        ref var source = ref MemoryMarshal.GetReference(row);
        for (int i = 0, g = 0; i < row.Length; g++)
        {
            var scale = Vector512.Create(scales[g]);
            for (var end = i + group; i < end; i += 16)
                MemoryMarshal.Write(codes[(i / 2)..], Pack(T.Code(Vector512.LoadUnsafe(ref source, (nuint)i) / scale)));
        }
    }

    /// <summary>values[i] = numbers[code of column i] · scale of its group.</summary>
    /// <param name="codes">Begins with the byte of the first column.</param>
    /// <param name="scales">Begins with the scale of the first column.</param>
    /// <param name="offset">Where in its group the first column is; even.</param>
    /// <param name="numbers">[16].</param>
    public static void Decode(ReadOnlySpan<byte> codes, ReadOnlySpan<float> scales, int group, int offset,
        ReadOnlySpan<float> numbers, Span<float> values)
    {
        if (Cpu.Level >= CpuLevel.Avx512)
            Decode<Avx512Decoder>(codes, scales, group, offset, numbers, values);
        else if (Cpu.Level >= CpuLevel.Avx2)
            Decode<Avx2Decoder>(codes, scales, group, offset, numbers, values);
        else
            DecodePlain(codes, scales, group, offset, numbers, values);
    }

    internal static void DecodePlain(ReadOnlySpan<byte> codes, ReadOnlySpan<float> scales, int group, int offset,
        ReadOnlySpan<float> numbers, Span<float> values)
    {
        for (var i = 0; i < values.Length; i++)
            values[i] = numbers[(codes[i / 2] >> (i % 2 * 4)) & 15] * scales[(offset + i) / group];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Decode<T>(ReadOnlySpan<byte> codes, ReadOnlySpan<float> scales, int group, int offset,
        ReadOnlySpan<float> numbers, Span<float> values) where T : IDecoder
    {
        ref var source = ref MemoryMarshal.GetReference(codes[..((values.Length + 1) / 2)]);
        ref var target = ref MemoryMarshal.GetReference(values);
        var table = Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(numbers[..16]));
        var i = 0;
        for (var g = 0; i < values.Length; g++)
        {
            var scale = scales[g];
            var end = Math.Min(values.Length, i + group - offset);
            offset = 0;
            for (; i <= end - 16; i += 16)
                (T.Values(ref Unsafe.Add(ref source, i / 2), table) * Vector512.Create(scale)).StoreUnsafe(ref target, (nuint)i);
            for (; i < end; i++)
                values[i] = numbers[(codes[i / 2] >> (i % 2 * 4)) & 15] * scale;
        }
    }

    /// <summary>Sixteen lanes of 0 to 15 as eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Pack(Vector512<uint> codes)
    {
        var lanes = codes.AsUInt64();
        var bytes = (lanes | Vector512.ShiftRightLogical(lanes, 28)) & Vector512.Create(0xFFUL);
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector128Byte(bytes).AsUInt64().ToScalar();
        var dwords = Vector256.Narrow(bytes.GetLower(), bytes.GetUpper());
        var words = Vector128.Narrow(dwords.GetLower(), dwords.GetUpper());
        return Vector128.Narrow(words, words).AsUInt64().ToScalar();
    }

    /// <summary>One permutation of sixteen lanes; it looks at the low four bits of an index only.</summary>
    internal readonly struct Avx512Decoder : IDecoder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Values(ref byte codes, Vector512<float> numbers)
        {
            var low = Vector256.Create(Unsafe.ReadUnaligned<uint>(ref codes));
            var high = Vector256.Create(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref codes, 4)));
            var shifts = Vector512.Create(0u, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
            var index = Avx512F.ShiftRightLogicalVariable(Vector512.Create(low, high), shifts);
            return Avx512F.PermuteVar16x32(numbers, index.AsInt32());
        }
    }

    /// <summary>Two permutations of eight lanes; bit 3 of the code, moved to the sign, chooses between them.</summary>
    internal readonly struct Avx2Decoder : IDecoder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Values(ref byte codes, Vector512<float> numbers) => Vector512.Create(
            Eight(Unsafe.ReadUnaligned<uint>(ref codes), numbers),
            Eight(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref codes, 4)), numbers));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Eight(uint codes, Vector512<float> numbers)
        {
            var index = Avx2.ShiftRightLogicalVariable(Vector256.Create(codes), Vector256.Create(0u, 4, 8, 12, 16, 20, 24, 28));
            var low = Avx2.PermuteVar8x32(numbers.GetLower(), index.AsInt32());
            var high = Avx2.PermuteVar8x32(numbers.GetUpper(), index.AsInt32());
            return Avx.BlendVariable(low, high, Vector256.ShiftLeft(index, 28).AsSingle());
        }
    }
}
