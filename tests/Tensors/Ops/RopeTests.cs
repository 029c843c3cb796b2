using System.Text.Json;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class RopeTests
{
    public static TheoryData<string> Names() => [.. Recorded.Value.Select(item => item.GetProperty("name").GetString()!)];

    static readonly Lazy<JsonElement[]> Recorded = new(() =>
        [.. JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("models/rope.json"))).RootElement.EnumerateArray()]);

    [Theory, MemberData(nameof(Names))]
    public void Frequencies_equal_those_of_Transformers(string name)
    {
        var recorded = Recorded.Value.Single(item => item.GetProperty("name").GetString() == name);
        var length = recorded.GetProperty("length");
        var expected = recorded.GetProperty("inv_freq").EnumerateArray().Select(item => item.GetDouble()).ToArray();

        var (frequencies, scaling) = Rope.Frequencies(Parameters(recorded),
            length.ValueKind == JsonValueKind.Null ? null : length.GetInt32());

        Assert.Equal(expected.Length, frequencies.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(1, frequencies[i] / expected[i], Close.RopeFrequencies);
        Assert.Equal(1, scaling / recorded.GetProperty("attention_scaling").GetDouble(), Close.RopeFrequencies);
    }

    [Theory]
    [InlineData(64, 0.52), InlineData(64, 0), InlineData(64, 2), InlineData(0, 1)]
    public void A_rotated_part_that_is_odd_or_does_not_fit_is_refused(int headDim, double partial)
    {
        var parameters = new RopeParameters(headDim, partial, 1e4, 2048, new RopeScaling.Default());
        var error = Assert.Throws<ShapeException>(() => Rope.Frequencies(parameters, null));
        Assert.StartsWith("Rope: the rotated part", error.Message);
    }

    [Fact]
    public void Rules_without_meaning_are_refused()
    {
        RopeScaling[] rules =
        [
            new RopeScaling.Linear(0), new RopeScaling.Dynamic(double.NaN), new RopeScaling.Llama3(8, 1, 4, 0),
            new RopeScaling.Yarn(-1, 4096), new RopeScaling.LongRope(4096, [1, 1], [1, 1], 1, 1),
            new RopeScaling.LongRope(4096, [1, 1, 1, 0], [1, 1, 1, 1], 1, 1),
        ];
        foreach (var rule in rules)
            Assert.Throws<ShapeException>(() => Rope.Frequencies(new RopeParameters(8, 1, 1e4, 2048, rule), null));
    }

    [Fact]
    public void Angles_are_products_in_single_precision()
    {
        var (cos, sin) = Rope.Angles([0.1, 1], 1.5, [0, 7, 123_457]);

        Assert.Equal(new Shape(3, 2), cos.Shape);
        Assert.Equal([1.5f, 1.5f], cos.Row(0).ToArray());
        Assert.Equal([0, 0], sin.Row(0).ToArray());
        Assert.Equal((float)(1.5 * Math.Cos(7)), cos.Row(1)[1]);
        // 0.1f · 123457 rounds to 12345.7002, a multiple of 1/1024; the product of the doubles is 12345.7.
        Assert.Equal((float)(1.5 * Math.Sin(0.1f * 123_457f)), sin.Row(2)[0]);
        Assert.NotEqual((float)(1.5 * Math.Sin(0.1 * 123_457)), sin.Row(2)[0]);
    }

    [Theory]
    [InlineData(false, new[] { 0, 0, 1, 1, 1, 2, 2, 2 }, new[] { 2, 3, 3 })]
    [InlineData(true, new[] { 0, 1, 2, 0, 1, 2, 0, 0 }, new[] { 4, 2, 2 })]
    public void Each_frequency_follows_its_axis(bool interleaved, int[] axes, int[] sections)
    {
        double[] inverse = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
        int[][] positions = [[3, 10], [5, 20], [7, 30]];

        var (cos, sin) = Rope.MultimodalAngles(inverse, 1, positions, sections, interleaved);

        for (var t = 0; t < 2; t++)
            for (var i = 0; i < inverse.Length; i++)
            {
                var (expectedCos, expectedSin) = Rope.Angles([inverse[i]], 1, [positions[axes[i]][t]]);
                Assert.Equal(expectedCos.Row(0)[0], cos.Row(t)[i]);
                Assert.Equal(expectedSin.Row(0)[0], sin.Row(t)[i]);
            }
    }

    [Fact]
    public void Sections_must_cover_the_frequencies()
    {
        int[][] positions = [[1], [2], [3]];
        Assert.Throws<ShapeException>(() => Rope.MultimodalAngles([1, 1], 1, positions, [1, 1, 1], false));
        Assert.Throws<ShapeException>(() => Rope.MultimodalAngles([1, 1], 1, [[1], [2]], [1, 1, 0], false));
        Assert.Throws<ShapeException>(() => Rope.MultimodalAngles([1, 1], 1, [[1], [2], []], [1, 1, 0], false));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Host_equals_the_definition_at_every_width(bool neighbouringPairs)
    {
        for (var rotated = 2; rotated <= 256; rotated += 2)
        {
            var width = rotated + rotated % 3; // some heads have elements that are not rotated
            float[] heads = Draw.Normal(3 * width, rotated);
            float[] cos = Draw.Normal(rotated / 2, -rotated), sin = Draw.Normal(rotated / 2, rotated + 1);
            Check<Floats4>(heads, width, cos, sin, neighbouringPairs);
            Check<Floats8>(heads, width, cos, sin, neighbouringPairs);
            Check<Floats16>(heads, width, cos, sin, neighbouringPairs);
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Apply_rotates_every_token_by_its_own_angle(bool neighbouringPairs)
    {
        var (cos, sin) = Rope.Angles([1, 0.3, 0.1], 1, [.. Enumerable.Range(0, 700)]);
        using Tensor x = Draw.Tensor(1, 700, 5, 8), original = x.Clone();
        Rope.Apply(x, cos, sin, neighbouringPairs);

        var expected = new double[8];
        for (var row = 0; row < x.Rows; row++)
        {
            Rope.Definition(original.Row(row), cos.Row(row / 5), sin.Row(row / 5), neighbouringPairs, expected);
            Close.Scaled(expected, x.Row(row), Close.Rope, $"row {row}");
            Assert.Equal(original.Row(row)[6..].ToArray(), x.Row(row)[6..].ToArray());
        }
    }

    [Fact]
    public void A_product_of_rotated_heads_depends_on_the_distance_alone()
    {
        var (inverse, _) = Rope.Frequencies(new RopeParameters(32, 1e4), null);
        using Tensor q = Draw.Tensor(1, 1, 1, 32), k = Draw.Tensor(2, 1, 1, 32);
        Assert.Equal(Product(3, 10), Product(103, 110), 1e-4);
        Assert.NotEqual(Product(3, 10), Product(3, 11), 1e-2);

        double Product(int first, int second)
        {
            using Tensor a = q.Clone(), b = k.Clone();
            var (cos, sin) = Rope.Angles(inverse, 1, [first, second]);
            Rope.Apply(a, cos.Slice(0, 1), sin.Slice(0, 1));
            Rope.Apply(b, cos.Slice(1, 1), sin.Slice(1, 1));
            return a.Span<float>().ToArray().Zip(b.Span<float>().ToArray(), (x, y) => (double)x * y).Sum();
        }
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3, 8), cos = Tensor.Zeros(2, 4), few = Tensor.Zeros(1, 4), wide = Tensor.Zeros(2, 5);
        Assert.Contains("cos must have the shape [2, 4]", Assert.Throws<ShapeException>(() => Rope.Apply(x, few, few)).Message);
        Assert.Contains("sin and cos", Assert.Throws<ShapeException>(() => Rope.Apply(x, cos, few)).Message);
        Assert.Contains("half a head", Assert.Throws<ShapeException>(() => Rope.Apply(x, wide, wide)).Message);
        Assert.Throws<ShapeException>(() => Rope.Apply(cos, cos, cos));
    }

    static void Check<V>(float[] heads, int width, float[] cos, float[] sin, bool neighbouringPairs) where V : struct, IFloats<V>
    {
        var actual = (float[])heads.Clone();
        if (neighbouringPairs)
            Rope.Neighbours<V>(actual, width, cos, sin);
        else
            Rope.Halves<V>(actual, width, cos, sin);
        var expected = new double[width];
        for (var head = 0; head < heads.Length; head += width)
        {
            Rope.Definition(heads.AsSpan(head, width), cos, sin, neighbouringPairs, expected);
            Close.Scaled(expected, actual.AsSpan(head, width), Close.Rope, $"{2 * cos.Length} of {width}, {typeof(V).Name}");
        }
    }

    static RopeParameters Parameters(JsonElement recorded) => new(
        recorded.GetProperty("head_dim").GetInt32(), recorded.GetProperty("partial_rotary_factor").GetDouble(),
        recorded.GetProperty("rope_theta").GetDouble(), recorded.GetProperty("max_position_embeddings").GetInt32(),
        Scaling(recorded.GetProperty("rope_scaling"), recorded.GetProperty("max_position_embeddings").GetInt32()));

    static RopeScaling Scaling(JsonElement rule, int maxPositions)
    {
        if (rule.ValueKind == JsonValueKind.Null)
            return new RopeScaling.Default();
        double Number(string name, double otherwise = double.NaN) =>
            rule.TryGetProperty(name, out var value) ? value.GetDouble() : otherwise;
        double[] List(string name) => [.. rule.GetProperty(name).EnumerateArray().Select(item => item.GetDouble())];

        var original = (int)Number("original_max_position_embeddings", 1);
        switch (rule.GetProperty("rope_type").GetString())
        {
            case "linear":
                return new RopeScaling.Linear(Number("factor"));
            case "dynamic":
                return new RopeScaling.Dynamic(Number("factor"));
            case "llama3":
                return new RopeScaling.Llama3(Number("factor"), Number("low_freq_factor"), Number("high_freq_factor"), original);
            case "yarn":
                var factor = Number("factor");
                var magnitude = rule.TryGetProperty("mscale", out _)
                    ? RopeScaling.Yarn.Magnitude(factor, Number("mscale")) /
                        RopeScaling.Yarn.Magnitude(factor, Number("mscale_all_dim"))
                    : RopeScaling.Yarn.Magnitude(factor);
                return new RopeScaling.Yarn(factor, original, Number("beta_fast", 32), Number("beta_slow", 1),
                    !rule.TryGetProperty("truncate", out var truncate) || truncate.GetBoolean())
                { AttentionFactor = Number("attention_factor", magnitude) };
            default:
                var attention = Number("attention_factor",
                    RopeScaling.LongRope.AttentionFactor(Number("factor", (double)maxPositions / original), original));
                return new RopeScaling.LongRope(original, List("short_factor"), List("long_factor"), attention, attention);
        }
    }
}
