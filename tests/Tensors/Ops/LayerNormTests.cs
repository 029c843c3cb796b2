using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class LayerNormTests
{
    const float Eps = 0.1f; // large, so that a version which forgets it is plainly wrong and not merely rounded

    [Theory, InlineData(false), InlineData(true)]
    public void Host_equals_the_definition_at_every_length(bool biased)
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length), Draw.Normal(length, -length), Bias(length), $"length {length}");
        Check(Draw.Normal(5003, seed: 1, deviation: 100), Draw.Normal(5003, seed: 2), Bias(5003), "length 5003");
        Check(Draw.Ties(77, seed: 1), Draw.Ties(77, seed: 2), Bias(77), "ties");

        float[] Bias(int length) => biased ? Draw.Normal(length, length + 1000) : [];
    }

    [Fact]
    public void Host_equals_the_definition_at_extremes()
    {
        Check(new float[33], Draw.Normal(33, seed: 1), Draw.Normal(33, seed: 2), "zeros");
        foreach (var magnitude in (float[])[1e-30f, 1e-15f, 1e15f, 1e18f])
            Check(Draw.Normal(50, seed: 3, deviation: magnitude), Draw.Normal(50, seed: 4), [], $"magnitude {magnitude}");
        Check([1, float.NaN, 2], [1, 1, 1], [], "NaN");
    }

    [Fact]
    public void Without_variance_nothing_but_the_bias_is_left()
    {
        using Tensor x = Tensor.From([.. Enumerable.Repeat(0.1f, 33)]), weight = Draw.Tensor(1, 33), bias = Draw.Tensor(2, 33);
        LayerNorm.Apply(x, weight, bias, 1e-5f, x);
        Close.Assert(bias.Span<float>(), x.Span<float>(), 0, absolute: 1e-5);
    }

    [Fact]
    public void A_large_mean_costs_no_accuracy() =>
        Check(Draw.Normal(777, seed: 5, mean: 1000), Draw.Normal(777, seed: 6), [], "mean 1000");

    [Fact]
    public void Apply_treats_every_row_alone_and_may_work_in_place()
    {
        using Tensor x = Draw.Tensor(1, 800, 257), weight = Draw.Tensor(2, 257), bias = Draw.Tensor(3, 257);
        using var y = Tensor.Empty(x.Shape);
        LayerNorm.Apply(x, weight, bias, Eps, y);
        for (var row = 0; row < x.Rows; row++)
        {
            var expected = new float[257];
            LayerNorm.Host(x.Row(row), weight.Span<float>(), bias.Span<float>(), Eps, expected);
            Assert.Equal(expected, y.Row(row).ToArray());
        }
        LayerNorm.Apply(x, weight, bias, Eps, x);
        Assert.Equal(y.Span<float>().ToArray(), x.Span<float>().ToArray());
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 5), weight = Tensor.Zeros(5), wrong = Tensor.Zeros(4), y = Tensor.Zeros(5, 2);
        Assert.Contains("weight", Assert.Throws<ShapeException>(() => LayerNorm.Apply(x, wrong, null, Eps, x)).Message);
        Assert.Contains("bias", Assert.Throws<ShapeException>(() => LayerNorm.Apply(x, weight, wrong, Eps, x)).Message);
        Assert.Contains("y and x", Assert.Throws<ShapeException>(() => LayerNorm.Apply(x, weight, null, Eps, y)).Message);
    }

    static void Check(float[] x, float[] weight, float[] bias, string because)
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        LayerNorm.Definition(x, weight, bias, Eps, expected);

        LayerNorm.Host<Floats4>(x, weight, bias, Eps, actual);
        Close.Scaled(expected, actual, Close.LayerNorm, $"{because}, 4 lanes");
        LayerNorm.Host<Floats8>(x, weight, bias, Eps, actual);
        Close.Scaled(expected, actual, Close.LayerNorm, $"{because}, 8 lanes");
        LayerNorm.Host<Floats16>(x, weight, bias, Eps, actual);
        Close.Scaled(expected, actual, Close.LayerNorm, $"{because}, 16 lanes");
    }
}
