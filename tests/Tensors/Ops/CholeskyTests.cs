using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

/// <summary>The blocked factorizations against their definitions, below, at and above the width of a block.</summary>
public sealed class CholeskyTests
{
    const double Tolerance = 2e-6; // less than 8.5e-7 of the largest measured, at condition numbers of some hundreds

    public static TheoryData<int> Sizes => [1, 2, 15, 16, 33, 127, 128, 129, 200, 257, 300];

    [Theory, MemberData(nameof(Sizes))]
    public void The_factor_is_that_of_the_definition(int n)
    {
        var a = SecondMoments(n);
        var expected = new double[n * n];
        Assert.True(Cholesky.Definition(Wide(a), n, expected));

        // Only the lower triangle may be read.
        for (var row = 0; row < n; row++)
            a.Row(row)[(row + 1)..].Fill(float.NaN);
        Assert.True(Cholesky.Factor(a));
        Close.Scaled(expected, a.Span<float>(), Tolerance);
    }

    [Theory, MemberData(nameof(Sizes))]
    [InlineData(700)] // more than one strip of columns
    public void The_inverse_of_a_triangle_is_that_of_the_definition(int n)
    {
        var l = SecondMoments(n);
        Assert.True(Cholesky.Factor(l));
        var expected = new double[n * n];
        TriangularInverse.Definition(Wide(l), n, expected);
        TriangularInverse.Apply(l);
        Close.Scaled(expected, l.Span<float>(), Tolerance);
    }

    [Theory, MemberData(nameof(Sizes))]
    public void The_inverse_factor_gives_the_inverse(int n)
    {
        var h = SecondMoments(n);
        var u = Tensor.Empty(n, n);
        Assert.True(InverseFactor.Upper(h, u));
        var (wide, product) = (Wide(h), new double[n * n]);

        // UᵀU·H = 1.
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++)
                Assert.True(j >= i || u.Row(i)[j] == 0);
        var left = new double[n * n];
        for (var k = 0; k < n; k++)
            for (var i = 0; i < n; i++)
                for (var j = 0; j < n; j++)
                    left[i * n + j] += (double)u.Row(k)[i] * u.Row(k)[j];
        for (var i = 0; i < n; i++)
            for (var k = 0; k < n; k++)
                for (var j = 0; j < n; j++)
                    product[i * n + j] += left[i * n + k] * wide[k * n + j];
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++)
                Assert.True(Math.Abs(product[i * n + j] - (i == j ? 1 : 0)) < 1e-4, $"{n}: ({i}, {j}) is {product[i * n + j]}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(130)]
    [InlineData(280)]
    public void What_is_not_positive_definite_is_refused(int n)
    {
        Assert.False(Cholesky.Factor(Tensor.Zeros(n, n)));

        foreach (var wrong in (float[])[-1, 0, float.NaN, float.PositiveInfinity])
            foreach (var at in (int[])[0, n / 2, n - 1])
            {
                var a = SecondMoments(n);
                a.Row(at)[at] = wrong;
                Assert.False(Cholesky.Factor(a), $"{wrong} at {at} of {n}");
                a = SecondMoments(n);
                a.Row(at)[at] = wrong;
                Assert.False(InverseFactor.Upper(a, a), $"{wrong} at {at} of {n}");
            }
    }

    [Fact]
    public void Shapes_are_checked()
    {
        Assert.Contains("Cholesky", Assert.Throws<ShapeException>(() => Cholesky.Factor(Tensor.Zeros(3, 4))).Message);
        Assert.Contains("TriangularInverse", Assert.Throws<ShapeException>(() => TriangularInverse.Apply(Tensor.Zeros(3, 4))).Message);
        Assert.Contains("InverseFactor",
            Assert.Throws<ShapeException>(() => InverseFactor.Upper(Tensor.Zeros(3, 3), Tensor.Zeros(4, 4))).Message);
    }

    /// <summary>xᵀx of 2n rows, and a little on the diagonal.</summary>
    static Tensor SecondMoments(int n)
    {
        var h = Tensor.Zeros(n, n);
        MatMul.Gram(Draw.Tensor(n, 2 * n, n), h);
        for (var j = 0; j < n; j++)
            h.Row(j)[j] += 0.1f * n;
        return h;
    }

    static double[] Wide(Tensor tensor) => Array.ConvertAll(tensor.Span<float>().ToArray(), value => (double)value);
}
