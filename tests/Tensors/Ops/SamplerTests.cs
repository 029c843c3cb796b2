using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SamplerTests
{
    [Fact]
    public void The_same_seed_gives_the_same_tokens()
    {
        var logits = Draw.Normal(100, seed: 1);
        var tokens = Tokens(new Sampler(new SamplingOptions(), 7), logits, 50);
        Assert.Equal(tokens, Tokens(new Sampler(new SamplingOptions(), 7), logits, 50));
        Assert.NotEqual(tokens, Tokens(new Sampler(new SamplingOptions(), 8), logits, 50));
    }

    [Fact]
    public void Tokens_are_as_frequent_as_they_are_probable()
    {
        const int Draws = 40_000;
        float[] logits = [0, 1, 2, -1, float.NegativeInfinity];
        var options = new SamplingOptions { Temperature = 0.8 };
        var expected = Sampling.Probabilities([0 / 0.8, 1 / 0.8, 2 / 0.8, -1 / 0.8, double.NegativeInfinity]);
        var tokens = Tokens(new Sampler(options, 1), logits, Draws);
        for (var token = 0; token < logits.Length; token++)
        {
            var deviation = Math.Sqrt(expected[token] * (1 - expected[token]) / Draws);
            Assert.Equal(expected[token], tokens.Count(t => t == token) / (double)Draws, 4 * deviation + 1e-12);
        }
    }

    [Theory]
    [InlineData(0, 0), InlineData(0.2499, 0), InlineData(0.25, 2), InlineData(0.7499, 2)]
    [InlineData(0.75, 3), InlineData(0.9999, 3)]
    public void A_share_of_the_mass_picks_the_token(double share, int token) =>
        Assert.Equal(token, Sampler.Draw([0.25, 0, 0.5, 0.25, 0], share));

    [Theory, InlineData(false, 1.0), InlineData(true, 0.0)]
    public void Without_sampling_the_first_of_the_most_probable_is_taken(bool sample, double temperature)
    {
        var sampler = new Sampler(new SamplingOptions { DoSample = sample, Temperature = temperature }, 1);
        Assert.Equal(1, sampler.Next([1, 5, 5, 2], []));
        var penalised = new SamplingOptions { DoSample = sample, Temperature = temperature, RepetitionPenalty = 2 };
        Assert.Equal(2, new Sampler(penalised, 1).Next([1, 5, 5, 2], [1]));
    }

    [Fact]
    public void Options_without_meaning_are_refused()
    {
        SamplingOptions[] wrong =
        [
            new() { Temperature = -1 }, new() { Temperature = double.NaN }, new() { TopK = -1 }, new() { TopP = 1.1 },
            new() { MinP = -0.1 }, new() { TypicalP = double.NaN }, new() { RepetitionPenalty = 0 },
            new() { NoRepeatNgramSize = -1 },
        ];
        Assert.All(wrong, options => Assert.Throws<ArgumentOutOfRangeException>(() => new Sampler(options, 1)));
    }

    [Fact]
    public void Broken_logits_are_refused()
    {
        foreach (var options in (SamplingOptions[])[new(), new() { DoSample = false }, new() { TopP = 0.5 }, new() { TopK = 1 }])
            Assert.Throws<NotFiniteNumberException>(() => new Sampler(options, 1).Next([1, float.NaN, 2], []));
        Assert.Throws<ShapeException>(() => new Sampler(new SamplingOptions(), 1).Next([], []));
    }

    static int[] Tokens(Sampler sampler, float[] logits, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => sampler.Next(logits, []))];
}
