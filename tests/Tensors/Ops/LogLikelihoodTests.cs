using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class LogLikelihoodTests
{
    [Fact]
    public void Equals_the_definition_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
        {
            var logits = Draw.Normal(length, length, deviation: 5);
            Assert.Equal(LogLikelihood.Definition(logits, length / 3), LogLikelihood.Of(logits, length / 3), Close.LogLikelihood);
        }
        var vocabulary = Draw.Normal(150_001, seed: 1, deviation: 5);
        Assert.Equal(LogLikelihood.Definition(vocabulary, 77), LogLikelihood.Of(vocabulary, 77), Close.LogLikelihood);
    }

    [Fact]
    public void Probabilities_sum_to_one()
    {
        var logits = Draw.Normal(200, seed: 1, deviation: 5);
        Assert.Equal(1, Enumerable.Range(0, 200).Sum(token => Math.Exp(LogLikelihood.Of(logits, token))), 1e-12);
    }

    [Fact]
    public void Extremes()
    {
        Assert.Equal(-Math.Log(3), LogLikelihood.Of([7, 7, 7], 1), Close.LogLikelihood);
        Assert.Equal(0, LogLikelihood.Of([5000, 1, -5000], 0), Close.LogLikelihood);
        Assert.Equal(-10_000, LogLikelihood.Of([5000, 1, -5000], 2), 1e-9);
        Assert.Equal(double.NegativeInfinity, LogLikelihood.Of([0, float.NegativeInfinity], 1));
        Assert.Equal(double.NaN, LogLikelihood.Of([0, float.NaN], 0));
        Assert.Equal(double.NaN, LogLikelihood.Of([float.NegativeInfinity, float.NegativeInfinity], 0));
    }

    [Fact]
    public void Rows_and_their_tokens()
    {
        using var logits = Draw.Tensor(1, 50, 3000);
        int[] tokens = [.. Enumerable.Range(0, 50).Select(t => t * 59)];
        var expected = tokens.Select((token, row) => LogLikelihood.Of(logits.Row(row), token));
        Assert.Equal(expected, LogLikelihood.Of(logits, tokens));

        tokens[7] = 3000;
        Assert.Contains("token 3000", Assert.Throws<ShapeException>(() => LogLikelihood.Of(logits, tokens)).Message);
        Assert.Contains("token -1", Assert.Throws<ShapeException>(() => LogLikelihood.Of([1f], -1)).Message);
        Assert.Throws<ShapeException>(() => LogLikelihood.Of(logits, [1]));
    }
}
