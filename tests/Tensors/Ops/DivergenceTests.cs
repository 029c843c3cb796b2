using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class DivergenceTests
{
    static readonly Lazy<JsonElement[]> Recorded = new(() => [.. JsonDocument
        .Parse(File.ReadAllBytes(Repository.Fixture("eval/divergence.json"))).RootElement.GetProperty("cases").EnumerateArray()]);

    public static TheoryData<string> Names() => [.. Recorded.Value.Select(item => item.GetProperty("name").GetString()!)];

    [Theory, MemberData(nameof(Names))]
    public void Equals_the_recorded_divergence_and_agreement(string name)
    {
        var recorded = Recorded.Value.Single(item => item.GetProperty("name").GetString() == name);
        using var file = SafetensorsFile.Open(Repository.Fixture("eval/divergence.safetensors"));
        Tensor p = file.Load(name + ".p"), q = file.Load(name + ".q");
        var expected = recorded.GetProperty("kl").EnumerateArray().Select(item => item.GetDouble()).ToArray();

        var actual = Divergence.Of(p, q);

        Assert.Equal(expected.Length, actual.Length);
        for (var t = 0; t < expected.Length; t++)
            Assert.Equal(expected[t], actual[t], Close.Divergence * Math.Max(1, expected[t]));
        Assert.Equal(recorded.GetProperty("same_top1").EnumerateArray().Select(item => item.GetBoolean()),
            ArgMax.Apply(p).Zip(ArgMax.Apply(q), (a, b) => a == b));
    }

    [Fact]
    public void Equals_the_definition_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
        {
            float[] p = Draw.Normal(length, length, deviation: 3), q = Draw.Normal(length, -length, deviation: 3);
            Assert.Equal(Divergence.Definition(p, q), Divergence.Of(p, q), Close.Divergence);
        }
        float[] large = Draw.Normal(1500, seed: 1), other = Draw.Normal(1500, seed: 2);
        Assert.Equal(Divergence.Definition(large, other), Divergence.Of(large, other), Close.Divergence);
    }

    [Fact]
    public void A_small_divergence_keeps_its_digits()
    {
        // Two outcomes of 1/2 and 1/2 against (1 ± ε)/2: the divergence is -ln(1 - ε²)/2.
        const double Epsilon = 1e-5;
        var shift = (float)(Math.Log(1 + Epsilon) - Math.Log(1 - Epsilon));
        var epsilon = Math.Tanh(shift / 2.0);
        Assert.Equal(1, Divergence.Of([0, 0], [shift, 0]) / (-Math.Log(1 - epsilon * epsilon) / 2), 1e-4);
    }

    [Fact]
    public void Extremes()
    {
        const float Infinity = float.PositiveInfinity;
        Assert.Equal(0, Divergence.Of([1, 2, 3], [1, 2, 3]));
        Assert.Equal(0, Divergence.Of([1, 2, -Infinity], [1, 2, -Infinity]), Close.Divergence);
        Assert.Equal(double.PositiveInfinity, Divergence.Of([1, 2], [1, -Infinity]));
        Assert.Equal(double.NaN, Divergence.Of([-Infinity, -Infinity], [1, 2]));
        Assert.Equal(double.NaN, Divergence.Of([1, 2], [-Infinity, -Infinity]));
        Assert.Equal(double.NaN, Divergence.Of([1, float.NaN], [1, 2]));
        Assert.Equal(double.NaN, Divergence.Of([1, 2], [1, Infinity]));
        Assert.Throws<ShapeException>(() => Divergence.Of([1f, 2], [1f]));
    }
}
