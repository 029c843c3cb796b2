using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SwiGluTests
{
    [Fact]
    public void Host_equals_the_definition_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length, deviation: 3), Draw.Normal(length, -length), $"length {length}");
        Check(Draw.Ties(77, seed: 1), Draw.Ties(77, seed: 2), "ties");
    }

    [Fact]
    public void Host_equals_the_definition_at_extremes()
    {
        var gate = Draw.Extremes();
        foreach (var up in (float[])[1, -0f, 1e-20f, -3, float.NaN])
            Check(gate, [.. gate.Select(_ => up)], $"up = {up}");
        Check([1, -1, 80, -80, 0], [.. Enumerable.Repeat(float.NegativeInfinity, 5)], "infinite up");
    }

    [Fact]
    public void Apply_may_write_over_either_input()
    {
        using Tensor gate = Draw.Tensor(1, 3, 70_001), up = Draw.Tensor(2, 3, 70_001), y = Tensor.Empty(gate.Shape);
        SwiGlu.Apply(gate, up, y);
        using Tensor first = gate.Clone(), second = up.Clone();
        SwiGlu.Apply(first, up, first);
        SwiGlu.Apply(gate, second, second);

        var expected = y.Span<float>().ToArray();
        Assert.Equal(expected, first.Span<float>().ToArray());
        Assert.Equal(expected, second.Span<float>().ToArray());
        var definition = new double[expected.Length];
        SwiGlu.Definition(gate.Span<float>(), up.Span<float>(), definition);
        Close.Assert(definition, expected, Close.SwiGlu, Close.Vanishing);
    }

    [Fact]
    public void Other_shapes_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), other = Tensor.Zeros(3, 2);
        Assert.Contains("up and gate", Assert.Throws<ShapeException>(() => SwiGlu.Apply(x, other, x)).Message);
        Assert.Contains("y and gate", Assert.Throws<ShapeException>(() => SwiGlu.Apply(x, x, other)).Message);
    }

    static void Check(float[] gate, float[] up, string because)
    {
        var expected = new double[gate.Length];
        var actual = new float[gate.Length];
        SwiGlu.Definition(gate, up, expected);

        Lanewise.Host<SwiGlu.Lane, Floats4>(gate, up, actual);
        Close.Assert(expected, actual, Close.SwiGlu, Close.Vanishing, $"{because}, 4 lanes");
        Lanewise.Host<SwiGlu.Lane, Floats8>(gate, up, actual);
        Close.Assert(expected, actual, Close.SwiGlu, Close.Vanishing, $"{because}, 8 lanes");
        Lanewise.Host<SwiGlu.Lane, Floats16>(gate, up, actual);
        Close.Assert(expected, actual, Close.SwiGlu, Close.Vanishing, $"{because}, 16 lanes");
    }
}
