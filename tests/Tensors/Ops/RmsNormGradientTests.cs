using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class RmsNormGradientTests
{
    const float Eps = 0.125f; // large, so that a version which forgets it is plainly wrong

    [Theory, InlineData(false), InlineData(true)]
    public void The_definition_is_the_slope_of_the_norm(bool onePlus)
    {
        foreach (var length in (int[])[1, 2, 7, 40])
        {
            float[] x = FiniteDifferences.Draw(length, length), weight = Draw.Normal(length, 2), dy = Draw.Normal(length, 3);
            var (y, dx) = (new double[length], new double[length]);
            RmsNormGradient.Definition(x, weight, Eps, dy, dx, onePlus);
            FiniteDifferences.Assert(FiniteDifferences.Of(x, () =>
            {
                RmsNorm.Definition(x, weight, Eps, y, onePlus);
                return y.Zip(dy, (value, slope) => value * slope).Sum();
            }), dx, $"length {length}");
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Host_equals_the_definition_at_every_length(bool onePlus)
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length), Draw.Normal(length, -length), Draw.Normal(length, 1000 + length), onePlus, $"length {length}");
        Check(Draw.Normal(5003, 1, deviation: 100), Draw.Normal(5003, 2), Draw.Normal(5003, 3), onePlus, "length 5003");
        Check(Draw.Ties(77, 1), Draw.Ties(77, 2), Draw.Ties(77, 3), onePlus, "ties");
        Check(new float[33], Draw.Normal(33, 1), Draw.Normal(33, 2), onePlus, "zeros");
        foreach (var magnitude in (float[])[1e-15f, 1e15f])
            Check(Draw.Normal(50, 3, deviation: magnitude), Draw.Normal(50, 4), Draw.Normal(50, 5), onePlus, $"magnitude {magnitude}");
        Check([1, float.NaN, 2], [1, 1, 1], [1, 2, 3], onePlus, "NaN");
    }

    [Fact]
    public void Apply_treats_every_row_alone_and_may_work_in_place()
    {
        using Tensor x = Draw.Tensor(1, 40, 20, 257), weight = Draw.Tensor(2, 257), dy = Draw.Tensor(3, 40, 20, 257), dx = Tensor.Empty(x.Shape);
        RmsNormGradient.Apply(x, weight, Eps, dy, dx);
        for (var row = 0; row < x.Rows; row++)
        {
            var expected = new float[257];
            RmsNormGradient.Host(x.Row(row), weight.Span<float>(), Eps, dy.Row(row), expected, onePlus: false);
            Assert.Equal(expected, dx.Row(row).ToArray());
        }
        RmsNormGradient.Apply(x, weight, Eps, dy, dy);
        Assert.Equal(dx.Span<float>().ToArray(), dy.Span<float>().ToArray());
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 5), weight = Tensor.Zeros(5), wrong = Tensor.Zeros(4), y = Tensor.Zeros(5, 2);
        Assert.Contains("weight must have 5", Assert.Throws<ShapeException>(() => RmsNormGradient.Apply(x, wrong, Eps, x, x)).Message);
        Assert.Throws<ShapeException>(() => RmsNormGradient.Apply(x, weight, Eps, y, x));
        Assert.Throws<ShapeException>(() => RmsNormGradient.Apply(x, weight, Eps, x, y));
    }

    static void Check(float[] x, float[] weight, float[] dy, bool onePlus, string because)
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        RmsNormGradient.Definition(x, weight, Eps, dy, expected, onePlus);
        RmsNormGradient.Host<Floats4>(x, weight, Eps, dy, actual, onePlus);
        Close.Scaled(expected, actual, Close.RmsNormGradient, $"{because}, 4 lanes");
        RmsNormGradient.Host<Floats8>(x, weight, Eps, dy, actual, onePlus);
        Close.Scaled(expected, actual, Close.RmsNormGradient, $"{because}, 8 lanes");
        RmsNormGradient.Host<Floats16>(x, weight, Eps, dy, actual, onePlus);
        Close.Scaled(expected, actual, Close.RmsNormGradient, $"{because}, 16 lanes");
    }
}
