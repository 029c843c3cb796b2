using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Tensors.Ops;

public sealed class MatMulTests : IDisposable
{
    // Around the widths of registers (4, 8, 16), slivers (8, 16, 32) and groups of rows (4).
    static readonly int[] Outs = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65];

    // Around registers, unrolled steps (64) and blocks of k (256).
    static readonly int[] Ins = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 300, 513];

    readonly Workers one = new(1);
    readonly Workers three = new(3);

    public void Dispose()
    {
        one.Dispose();
        three.Dispose();
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void Apply_equals_the_definition_on_every_level_at_every_remainder(DType type)
    {
        foreach (var (tokens, rows, columns) in Shapes())
        {
            var products = new MatMulCase(tokens, rows, columns, type);
            products.Check((y, level) => MatMul.Apply(products.X, products.Weight, y, new HostTarget(level, one)));
        }
    }

    [Fact]
    public void Packed_weights_equal_the_definition_on_every_level_at_every_remainder()
    {
        foreach (var (tokens, rows, columns) in Shapes().Append((2, 5, 2047)).Append((3, 6, 2049)).Append((17, 33, 2049)))
        {
            var products = new MatMulCase(tokens, rows, columns);
            products.Check((y, level) => MatMul.Apply(products.X, products.Rows, y, new HostTarget(level, one)));
        }
    }

    [Fact]
    public void Multiply_equals_the_definition_on_every_level_at_every_remainder()
    {
        foreach (var (tokens, rows, columns) in Shapes())
        {
            var products = new MatMulCase(tokens, rows, columns);
            var b = Tensor.Empty(columns, rows);
            var values = b.Span<float>();
            for (var i = 0; i < values.Length; i++)
                values[i] = products.Rows.Values[i % rows * columns + i / rows];
            products.Check((y, level) => MatMul.Multiply(products.X, b, y, new HostTarget(level, one)));
        }
    }

    [Theory]
    [InlineData(1, 1100, 300)]
    [InlineData(4, 1100, 300)]
    [InlineData(16, 1100, 300)]
    [InlineData(17, 1100, 300)]
    [InlineData(530, 290, 270)]
    [InlineData(1100, 70, 30)]
    public void Large_products_equal_the_definition_and_do_not_depend_on_the_threads(int tokens, int rows, int columns)
    {
        foreach (var type in (DType[])[DType.F32, DType.BF16])
        {
            var products = new MatMulCase(tokens, rows, columns, type);
            products.Check((y, level) =>
            {
                MatMul.Apply(products.X, products.Weight, y, new HostTarget(level, three));
                var alone = MatMulCase.Run(
                    tokens, rows, z => MatMul.Apply(products.X, products.Weight, z, new HostTarget(level, one)));
                Assert.True(y.Span<float>().SequenceEqual(alone.Span<float>()));

                var packed = MatMulCase.Run(
                    tokens, rows, z => MatMul.Apply(products.X, products.Rows, z, new HostTarget(level, three)));
                Assert.True(y.Span<float>().SequenceEqual(packed.Span<float>()));
            });
        }
    }

    [Fact]
    public void A_token_does_not_depend_on_the_others_of_a_large_batch()
    {
        var products = new MatMulCase(600, 70, 300);
        var all = MatMulCase.Run(600, 70, y => MatMul.Apply(products.X, products.Weight, y));
        for (var start = 0; start < 600 - 37; start += 101)
        {
            var some = MatMulCase.Run(37, 70, y => MatMul.Apply(products.X.Slice(start, 37), products.Weight, y));
            Assert.True(some.Span<float>().SequenceEqual(all.Slice(start, 37).Span<float>()));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(29)]
    public void Infinities_and_NaN_arrive_where_the_formula_puts_them(int tokens)
    {
        foreach (var type in (DType[])[DType.F32, DType.BF16, DType.F16])
        {
            var products = new MatMulCase(tokens, 37, 45, type, (x, weight) =>
            {
                x.Row(tokens - 1)[44] = float.NaN;
                weight[3 * 45 + 2] = float.PositiveInfinity;
                weight[36 * 45 + 44] = float.NegativeInfinity;
                weight[20 * 45] = float.NaN;
                x.Row(0)[2] = 0;
            });
            products.Check((y, level) => MatMul.Apply(products.X, products.Weight, y, new HostTarget(level, one)));
            products.Check((y, level) => MatMul.Apply(products.X, products.Rows, y, new HostTarget(level, one)));
        }
    }

    [Fact]
    public void Empty_sums_are_zero_and_empty_results_are_fine()
    {
        foreach (var tokens in (int[])[1, 40])
        {
            var y = MatMulCase.Run(tokens, 3, y => MatMul.Apply(Tensor.Empty(tokens, 0), Tensor.Empty(3, 0), y));
            Assert.All(y.Span<float>().ToArray(), value => Assert.Equal(0, value));
            y = MatMulCase.Run(tokens, 3, y => MatMul.Apply(Tensor.Empty(tokens, 0), new ArrayRows([], 3, 0), y));
            Assert.All(y.Span<float>().ToArray(), value => Assert.Equal(0, value));
            y = MatMulCase.Run(tokens, 3, y => MatMul.Multiply(Tensor.Empty(tokens, 0), Tensor.Empty(0, 3), y));
            Assert.All(y.Span<float>().ToArray(), value => Assert.Equal(0, value));
            MatMul.Apply(Tensor.Empty(tokens, 5), Tensor.Empty(0, 5), Tensor.Empty(tokens, 0));
            MatMul.Multiply(Tensor.Empty(tokens, 5), Tensor.Empty(5, 0), Tensor.Empty(tokens, 0));
        }
        MatMul.Apply(Tensor.Empty(0, 5), Tensor.Empty(3, 5), Tensor.Empty(0, 3));
        MatMul.Apply(Tensor.Empty(0, 5), new ArrayRows(new float[15], 3, 5), Tensor.Empty(0, 3));
        MatMul.Multiply(Tensor.Empty(0, 5), Tensor.Empty(5, 3), Tensor.Empty(0, 3));
        MatMul.Gram(Tensor.Empty(5, 0), Tensor.Empty(0, 0));
    }

    [Fact]
    public void Leading_dimensions_of_x_are_tokens()
    {
        var products = new MatMulCase(6, 5, 7);
        var y = Tensor.Empty(2, 3, 5);
        MatMul.Apply(products.X.Reshape(2, 3, 7), products.Weight, y);
        var flat = MatMulCase.Run(6, 5, z => MatMul.Apply(products.X, products.Weight, z));
        Assert.True(y.Span<float>().SequenceEqual(flat.Span<float>()));
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        Tensor x = Tensor.Zeros(2, 4), w = Tensor.Zeros(3, 4), y = Tensor.Zeros(2, 3);
        Fails("MatMul: x must have 5 columns; got x = [2, 4] F32.", () => MatMul.Apply(x, Tensor.Zeros(3, 5), y));
        Fails("MatMul: y must have 2 rows; got y = [1, 3] F32.", () => MatMul.Apply(x, w, Tensor.Zeros(1, 3)));
        Fails("MatMul: y must have 3 columns; got y = [2, 4] F32.", () => MatMul.Apply(x, w, Tensor.Zeros(2, 4)));
        Fails("MatMul: w must be a matrix; got w = [4] F32.", () => MatMul.Apply(x, Tensor.Zeros(4), y));
        Fails("MatMul: x must be F32; got x = [2, 4] BF16.", () => MatMul.Apply(Tensor.Zeros(new Shape(2, 4), DType.BF16), w, y));
        Fails("MatMul: w must be F32, BF16 or F16; got w = [3, 4] I8.",
            () => MatMul.Apply(x, Tensor.Zeros(new Shape(3, 4), DType.I8), y));
        Fails("MatMul: x must have 5 columns; got x = [2, 4] F32.", () => MatMul.Apply(x, new ArrayRows(new float[15], 3, 5), y));
        Fails("MatMul: b must have the shape [4, 3]; got b = [3, 3] F32.", () => MatMul.Multiply(x, Tensor.Zeros(3, 3), y));
        Fails("MatMul: c must have the shape [2, 4]; got c = [2, 3] F32.", () => MatMul.Multiply(x, Tensor.Zeros(4, 4), y));
        Fails("MatMul: h must have the shape [4, 4]; got h = [2, 3] F32.", () => MatMul.Gram(x, y));

        static void Fails(string message, Action call) => Assert.Equal(message, Assert.Throws<ShapeException>(call).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void An_error_while_decoding_reaches_the_caller(int tokens)
    {
        var weights = new BrokenRows();
        var thrown = Assert.Throws<InvalidOperationException>(() => MatMul.Apply(
            Tensor.Zeros(tokens, 64), weights, Tensor.Zeros(tokens, 4096), new HostTarget(Cpu.Level, three)));
        Assert.Equal("row 1000", thrown.Message);
    }

    /// <summary>All tokens up to 31 with outs and ins passing by, then all outs and all ins.</summary>
    static IEnumerable<(int Tokens, int Rows, int Columns)> Shapes()
    {
        for (var tokens = 1; tokens <= 31; tokens++)
            for (var i = 0; i < 6; i++)
                yield return (tokens, Outs[(tokens * 5 + i * 3) % Outs.Length], Ins[(tokens * 7 + i * 4) % Ins.Length]);
        foreach (var tokens in (int[])[1, 2, 4, 7, 18, 24])
        {
            foreach (var rows in Outs)
                yield return (tokens, rows, 35);
            foreach (var columns in Ins)
                yield return (tokens, 37, columns);
        }
    }

    sealed class BrokenRows : IWeightRows
    {
        public int Rows => 4096;

        public int Columns => 64;

        public void Decode(int row, int column, Span<float> destination)
        {
            if (row == 1000)
                throw new InvalidOperationException("row 1000");
            destination.Clear();
        }
    }
}
