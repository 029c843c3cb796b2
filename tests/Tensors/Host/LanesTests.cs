using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Tests.Tensors.Host;

public sealed unsafe class LanesTests
{
    const int Stride = 19;
    const int Pitch = 23;

    static readonly ushort[] AllBits = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];

    [Fact]
    public void Every_half_widens_exactly_on_every_level()
    {
        foreach (var level in Cpu.Available)
            AssertSame(AllBits.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits)), Widen<F16Element>(level));
    }

    [Fact]
    public void Every_bfloat_widens_exactly_on_every_level()
    {
        foreach (var level in Cpu.Available)
            AssertSame(AllBits.Select(bits => BitConverter.Int32BitsToSingle(bits << 16)), Widen<BF16Element>(level));
    }

    [Fact]
    public void Blocks_are_transposed_on_every_level()
    {
        foreach (var level in Cpu.Available)
        {
            var source = new float[16 * Stride];
            for (var i = 0; i < source.Length; i++)
                source[i] = i + 1;
            var (destination, width) = (new float[16 * Pitch], new int[1]);
            Levels.Run(level, new Transposition(source, destination, width));
            for (var row = 0; row < 16; row++)
                for (var column = 0; column < Pitch; column++)
                    Assert.Equal(row < width[0] && column < width[0] ? source[column * Stride + row] : 0,
                        destination[row * Pitch + column]);
        }
    }

    static float[] Widen<E>(CpuLevel level) where E : struct, IElement<ushort>
    {
        var result = new float[AllBits.Length];
        Levels.Run(level, new Widening<E>(result));
        return result;
    }

    static void AssertSame(IEnumerable<float> expected, float[] actual)
    {
        var i = 0;
        foreach (var value in expected)
        {
            var same = float.IsNaN(value) ? float.IsNaN(actual[i])
                : BitConverter.SingleToInt32Bits(value) == BitConverter.SingleToInt32Bits(actual[i]);
            Assert.True(same, $"bits {i:X4}: {actual[i]} is not {value}");
            i++;
        }
    }

    readonly struct Widening<E>(float[] result) : ILevelWork where E : struct, IElement<ushort>
    {
        public void Run<L, V>() where L : struct, ILanes<V> where V : struct
        {
            fixed (ushort* from = AllBits)
            fixed (float* to = result)
                for (var i = 0; i < AllBits.Length; i += L.Width)
                    L.Store(E.Load<L, V>(from + i), to + i);
        }
    }

    readonly struct Transposition(float[] source, float[] destination, int[] width) : ILevelWork
    {
        public void Run<L, V>() where L : struct, ILanes<V> where V : struct
        {
            width[0] = L.Width;
            fixed (float* from = source, to = destination)
                L.Transpose<F32Element, float>(from, Stride, to, Pitch);
        }
    }
}
