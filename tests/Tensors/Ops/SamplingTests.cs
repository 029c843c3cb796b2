using System.Text.Json;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SamplingTests
{
    const double Infinity = double.PositiveInfinity;

    static readonly Lazy<JsonElement> Recorded = new(() =>
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("models/generation.json"))).RootElement);

    public static TheoryData<int> Cases() => [.. Enumerable.Range(0, Recorded.Value.GetProperty("cases").GetArrayLength())];

    [Theory, MemberData(nameof(Cases))]
    public void Probabilities_equal_those_of_Transformers(int number)
    {
        var recorded = Recorded.Value.GetProperty("cases")[number];
        var logits = Recorded.Value.GetProperty("logits").EnumerateArray().Select(item => item.GetDouble()).ToArray();
        var context = (recorded.TryGetProperty("context", out var own) ? own : Recorded.Value.GetProperty("context"))
            .EnumerateArray().Select(item => item.GetInt32()).ToArray();
        double Number(string name, double otherwise) =>
            recorded.TryGetProperty(name, out var value) ? value.GetDouble() : otherwise;

        Sampling.Apply(new SamplingOptions
        {
            RepetitionPenalty = Number("repetition_penalty", 1),
            NoRepeatNgramSize = (int)Number("no_repeat_ngram_size", 0),
            Temperature = Number("temperature", 1),
            TopK = (int)Number("top_k", 0),
            TopP = Number("top_p", 1),
            MinP = Number("min_p", 0),
            TypicalP = Number("typical_p", 1),
        }, logits, context);
        var actual = Sampling.Probabilities(logits);

        var expected = recorded.GetProperty("probabilities").EnumerateArray().Select(item => item.GetDouble()).ToArray();
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], Close.Probability);
        Assert.Equal(recorded.GetProperty("kept").GetInt32(), actual.Count(probability => probability > 0));
    }

    [Fact]
    public void Steps_with_their_default_change_nothing()
    {
        double[] logits = [3, -Infinity, 1, 1], before = [.. logits];
        Sampling.Apply(new SamplingOptions(), logits, [0, 2]);
        Assert.Equal(before, logits);
    }

    [Fact]
    public void Top_p_keeps_the_lower_ids_of_equals_and_at_least_one()
    {
        double[] logits = [0, 0, 0, 0];
        Sampling.TopP(logits, 0.5);
        Assert.Equal([0, 0, -Infinity, -Infinity], logits);
        Sampling.TopP(logits, 0);
        Assert.Equal([0, -Infinity, -Infinity, -Infinity], logits);
    }

    [Fact]
    public void Top_p_of_a_vocabulary_equals_a_full_sort()
    {
        var logits = Draw.Normal(5000, seed: 1, deviation: 3).Select(value => (double)value).ToArray();
        var probabilities = Sampling.Probabilities(logits);
        foreach (var mass in (double[])[0.3, 0.9, 0.999, 0.9999999])
        {
            var sum = 0.0;
            var kept = Enumerable.Range(0, 5000).OrderByDescending(i => probabilities[i])
                .TakeWhile(i => (sum += probabilities[i]) - probabilities[i] < mass);
            var actual = (double[])logits.Clone();
            Sampling.TopP(actual, mass);
            Assert.Equal(kept.Order(), Enumerable.Range(0, 5000).Where(i => double.IsFinite(actual[i])));
        }
    }

    [Fact]
    public void Greedy_choice_keeps_the_penalty_but_nothing_that_needs_a_draw()
    {
        double[] logits = [4, 3, 1];
        Sampling.Apply(new SamplingOptions { DoSample = false, RepetitionPenalty = 2, TopK = 1, Temperature = 0.1 }, logits, [0]);
        Assert.Equal([2, 3, 1], logits);
    }

    [Fact]
    public void Broken_logits_and_contexts_are_refused()
    {
        Assert.Throws<NotFiniteNumberException>(() => Sampling.Probabilities([1, double.NaN]));
        Assert.Throws<NotFiniteNumberException>(() => Sampling.Probabilities([1, Infinity]));
        Assert.Contains("none of 2 tokens",
            Assert.Throws<NotFiniteNumberException>(() => Sampling.Probabilities([-Infinity, -Infinity])).Message);
        Assert.Contains("token 2 of the context",
            Assert.Throws<ShapeException>(() => Sampling.RepetitionPenalty([1.0, 2], [2], 2)).Message);
    }
}
