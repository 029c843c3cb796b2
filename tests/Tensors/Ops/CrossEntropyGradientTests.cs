using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class CrossEntropyGradientTests
{
    [Fact]
    public void The_definition_is_the_slope_of_the_negative_log_likelihood()
    {
        var logits = FiniteDifferences.Draw(37, seed: 1);
        var d = new double[logits.Length];
        CrossEntropyGradient.Definition(logits, 5, 0.25, d);
        FiniteDifferences.Assert(FiniteDifferences.Of(logits, () => -0.25 * LogLikelihood.Definition(logits, 5)), d, "logits");
    }

    [Fact]
    public void Apply_equals_the_definition_at_every_length_and_in_place()
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Tensor(length, 3, length), [0, length - 1, length / 2], 0.1);
        Check(Draw.Tensor(1, 3, 5003), [0, 17, 5002], 0.1);
        Check(Tensor.Zeros(3, 9), [0, 4, 8], 0.1);
        Check(Tensor.From([80, 0, 0, 0, 80, 0], 3, 2), [0, 0, 1], 1); // certain and right, undecided, certain and wrong
        Check(Tensor.From([12, 0, 0, 0, 12, 0], 3, 2), [0, 0, 1], 1);
        Check(Draw.Tensor(2, 3, 50), [CrossEntropyGradient.NoTarget, 3, CrossEntropyGradient.NoTarget], 1);
    }

    [Fact]
    public void Targets_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 5), other = Tensor.Zeros(5, 2);
        Assert.Contains("target 5", Assert.Throws<ShapeException>(() => CrossEntropyGradient.Apply(x, [0, 5], 1, x)).Message);
        Assert.Throws<ShapeException>(() => CrossEntropyGradient.Apply(x, [0, -2], 1, x));
        Assert.Throws<ShapeException>(() => CrossEntropyGradient.Apply(x, [0], 1, x));
        Assert.Throws<ShapeException>(() => CrossEntropyGradient.Apply(x, [0, 1], 1, other));
    }

    static void Check(Tensor logits, int[] targets, double scale)
    {
        using var d = Tensor.Empty(logits.Shape);
        CrossEntropyGradient.Apply(logits, targets, scale, d);
        for (var row = 0; row < logits.Rows; row++)
        {
            var expected = new double[logits.Columns];
            CrossEntropyGradient.Definition(logits.Row(row), targets[row], scale, expected);
            Close.Assert(expected, d.Row(row), Close.Softmax, Close.Vanishing, $"{logits}, row {row}");
        }
        CrossEntropyGradient.Apply(logits, targets, scale, logits);
        Assert.Equal(d.Span<float>().ToArray(), logits.Span<float>().ToArray());
    }
}
