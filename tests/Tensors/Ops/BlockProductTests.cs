using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public sealed class BlockProductTests
{
    const double Tolerance = 1e-6; // 4.2e-7 of the largest measured

    public static TheoryData<int, int, int> Sizes => new()
    {
        { 1, 1, 1 }, { 3, 17, 5 }, { 13, 32, 128 }, { 33, 31, 300 }, { 520, 70, 9 }, { 5, 601, 33 }, { 40, 40, 0 },
    };

    [Theory, MemberData(nameof(Sizes))]
    public void Only_the_block_changes_and_by_the_product(int rows, int columns, int depth)
    {
        using var workers = new Workers(3);
        foreach (var level in CpuLevels())
        {
            var target = new HostTarget(level, workers);
            Check(rows, columns, depth, transposed: false, (a, b, c) => BlockProduct.Add(a, b, c, target));
            Check(rows, columns, depth, transposed: true, (a, b, c) => BlockProduct.AddTransposed(a, b, c, false, target));
        }
    }

    [Fact]
    public void The_lower_triangle_is_complete_where_only_it_is_asked_for()
    {
        const int size = 150, depth = 40;
        var a = Draw.Tensor(1, size, depth);
        var (whole, lower) = (Tensor.Zeros(size, size), Tensor.Zeros(size, size));
        BlockProduct.AddTransposed(a, a, whole);
        BlockProduct.AddTransposed(a, a, lower, lower: true);
        for (var row = 0; row < size; row++)
            Assert.Equal(whole.Row(row)[..(row + 1)].ToArray(), lower.Row(row)[..(row + 1)].ToArray());
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        var a = Tensor.Zeros(4, 4);
        Assert.Contains("from row 2, column 0", Assert.Throws<ShapeException>(() => new Block(a, 2, 0, 3, 4)).Message);
        Assert.Contains("c += a·b", Assert.Throws<ShapeException>(() => BlockProduct.Add(a, new Block(a, 0, 0, 3, 4), a)).Message);
        Assert.Throws<ShapeException>(() => BlockProduct.AddTransposed(new Block(a, 0, 0, 3, 4), a, new Block(a, 0, 0, 3, 4), lower: true));
        Assert.Throws<ShapeException>(() => new Block(Tensor.Zeros(new Shape(2, 2), DType.BF16), 0, 0, 1, 1));
    }

    static IEnumerable<CpuLevel> CpuLevels() => Enum.GetValues<CpuLevel>().Where(level => level <= Cpu.Level);

    static void Check(int rows, int columns, int depth, bool transposed, Action<Block, Block, Block> add)
    {
        var left = Draw.Tensor(1, rows + 2, depth + 3);
        var right = transposed ? Draw.Tensor(2, columns + 1, depth + 2) : Draw.Tensor(2, depth + 2, columns + 1);
        var sum = Draw.Tensor(3, rows + 3, columns + 2);
        var expected = Array.ConvertAll(sum.Span<float>().ToArray(), value => (double)value);
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                for (var k = 0; k < depth; k++)
                    expected[(i + 2) * (columns + 2) + j + 1] +=
                        (double)left.Row(i + 1)[k + 2] * (transposed ? right.Row(j + 1)[k + 1] : right.Row(k + 1)[j + 1]);

        add(new Block(left, 1, 2, rows, depth),
            transposed ? new Block(right, 1, 1, columns, depth) : new Block(right, 1, 1, depth, columns),
            new Block(sum, 2, 1, rows, columns));
        Close.Scaled(expected, sum.Span<float>(), Tolerance, $"{rows} x {columns} x {depth}");
    }
}
