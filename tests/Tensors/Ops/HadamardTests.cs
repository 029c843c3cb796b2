using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class HadamardTests
{
    /// <summary>Of the largest magnitude of a block times √n; 1.2e-7 measured.</summary>
    const double Relative = 2e-7;

    [Fact]
    public void Host_equals_the_definition_at_every_block()
    {
        for (var block = 1; block <= 4096; block *= 2)
            foreach (var blocks in (int[])[1, 3])
            {
                Check(Draw.Normal(block * blocks, block), block);
                Check(new float[block * blocks], block);
                Check([.. Enumerable.Range(0, block * blocks).Select(i => i == block * blocks - 1 ? 1e30f : 1e-30f * i)], block);
            }
    }

    [Fact]
    public void Columns_are_what_rows_are_of_the_transposed()
    {
        for (var block = 1; block <= 1024; block *= 2)
            foreach (var (blocks, columns) in ((int, int)[])[(1, 1), (3, 1), (1, 7), (2, 16), (1, 33), (3, 40)])
            {
                using Tensor x = Draw.Tensor(block + columns, block * blocks, columns), transposed = Tensor.Empty(columns, block * blocks);
                for (var row = 0; row < x.Rows; row++)
                    for (var column = 0; column < columns; column++)
                        transposed.Row(column)[row] = x.Row(row)[column];
                Hadamard.Apply(transposed, block);
                Hadamard.ApplyToColumns(x, blocks == 1 ? 0 : block);
                for (var row = 0; row < x.Rows; row++)
                    for (var column = 0; column < columns; column++)
                        Assert.Equal(transposed.Row(column)[row], x.Row(row)[column]); // the same sums in the same order
            }
    }

    [Theory]
    [InlineData("hadamard", 0)]
    [InlineData("hadamard96_block32", 32)]
    public void Rotates_as_ModelOpt_does(string name, int block)
    {
        using var codecs = SafetensorsFile.Open(Repository.Fixture("modelopt/codecs/codecs.safetensors"));
        using var x = codecs.Load($"{name}.x").Clone();
        Hadamard.Apply(x, block);
        Close.Assert(codecs.Load($"{name}.y").Span<float>(), x.Span<float>(), 0, 2e-6, name); // 4.8e-7 measured
    }

    [Fact]
    public void Is_its_own_inverse_and_keeps_products()
    {
        using Tensor q = Draw.Tensor(1, 7, 3, 64), k = Draw.Tensor(2, 7, 3, 64);
        using Tensor rotatedQ = q.Clone(), rotatedK = k.Clone();
        Hadamard.Apply(rotatedQ);
        Hadamard.Apply(rotatedK);
        for (var row = 0; row < q.Rows; row++)
            Assert.Equal(Dot(q.Row(row), k.Row(row)), Dot(rotatedQ.Row(row), rotatedK.Row(row)), 1e-4);
        Hadamard.Apply(rotatedQ);
        Close.Assert(q.Span<float>(), rotatedQ.Span<float>(), 0, 2e-6, "twice");
    }

    [Theory]
    [InlineData(96, 0)]
    [InlineData(96, 64)]
    [InlineData(96, 12)]
    [InlineData(96, -32)]
    public void A_block_that_is_none_is_refused(int size, int block)
    {
        using var x = Tensor.Zeros(2, size);
        Assert.Throws<ShapeException>(() => Hadamard.Apply(x, block));
        using var columns = Tensor.Zeros(size, 2);
        Assert.Throws<ShapeException>(() => Hadamard.ApplyToColumns(columns, block));
        using var wrong = Tensor.Zeros(new Shape(2, 32), DType.BF16);
        Assert.Throws<ShapeException>(() => Hadamard.Apply(wrong));
    }

    static double Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++)
            sum += (double)x[i] * y[i];
        return sum;
    }

    static void Check(float[] x, int block)
    {
        var (expected, actual) = (new double[x.Length], (float[])x.Clone());
        Hadamard.Definition(x, block, expected);
        Hadamard.Host(actual, block);
        for (var at = 0; at < x.Length; at += block)
        {
            var tolerance = Relative * Math.Sqrt(block) * x.Skip(at).Take(block).Max(Math.Abs);
            for (var i = at; i < at + block; i++)
                Assert.InRange(actual[i] - expected[i], -tolerance, tolerance);
        }
    }
}
