using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class RmsNormTests
{
    const float Eps = 0.1f; // large, so that a version which forgets it is plainly wrong and not merely rounded

    [Theory, InlineData(false), InlineData(true)]
    public void Host_equals_the_definition_at_every_length(bool onePlus)
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length), Draw.Normal(length, -length), onePlus, $"length {length}");
        Check(Draw.Normal(5003, seed: 1, deviation: 100), Draw.Normal(5003, seed: 2), onePlus, "length 5003");
        Check(Draw.Ties(77, seed: 1), Draw.Ties(77, seed: 2), onePlus, "ties");
    }

    [Fact]
    public void Host_equals_the_definition_at_extremes()
    {
        Check(new float[33], Draw.Normal(33, seed: 1), false, "zeros");
        foreach (var magnitude in (float[])[1e-30f, 1e-15f, 1e15f, 1e18f])
            Check(Draw.Normal(50, seed: 3, deviation: magnitude), Draw.Normal(50, seed: 4), false, $"magnitude {magnitude}");
        Check([1, float.NaN, 2], [1, 1, 1], false, "NaN");
    }

    [Fact]
    public void Apply_treats_every_row_alone_and_may_work_in_place()
    {
        using Tensor x = Draw.Tensor(1, 40, 20, 257), weight = Draw.Tensor(2, 257), y = Tensor.Empty(x.Shape);
        RmsNorm.Apply(x, weight, Eps, y);
        for (var row = 0; row < x.Rows; row++)
        {
            var expected = new float[257];
            RmsNorm.Host(x.Row(row), weight.Span<float>(), Eps, expected, onePlus: false);
            Assert.Equal(expected, y.Row(row).ToArray());
        }
        RmsNorm.Apply(x, weight, Eps, x);
        Assert.Equal(y.Span<float>().ToArray(), x.Span<float>().ToArray());
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 5), weight = Tensor.Zeros(5), wrong = Tensor.Zeros(4), y = Tensor.Zeros(5, 2);
        Assert.Equal("RmsNorm: weight must have 5 elements; got weight = [4] F32.",
            Assert.Throws<ShapeException>(() => RmsNorm.Apply(x, wrong, Eps, x)).Message);
        Assert.Throws<ShapeException>(() => RmsNorm.Apply(x, weight, Eps, y));
    }

    static void Check(float[] x, float[] weight, bool onePlus, string because)
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        RmsNorm.Definition(x, weight, Eps, expected, onePlus);

        RmsNorm.Host<Floats4>(x, weight, Eps, actual, onePlus);
        Close.Assert(expected, actual, Close.RmsNorm, Close.Vanishing, $"{because}, 4 lanes");
        RmsNorm.Host<Floats8>(x, weight, Eps, actual, onePlus);
        Close.Assert(expected, actual, Close.RmsNorm, Close.Vanishing, $"{because}, 8 lanes");
        RmsNorm.Host<Floats16>(x, weight, Eps, actual, onePlus);
        Close.Assert(expected, actual, Close.RmsNorm, Close.Vanishing, $"{because}, 16 lanes");
    }
}
