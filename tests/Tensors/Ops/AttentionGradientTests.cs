using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class AttentionGradientTests
{
    static readonly AttentionMask[] Square =
        [AttentionMask.Causal, AttentionMask.SlidingWindow(3), AttentionMask.Full, AttentionMask.Blocks([0, 4, 4, 7])];

    [Fact]
    public void The_definition_is_the_slope_of_attention()
    {
        foreach (var mask in Square)
        {
            using Tensor q = Exact(1, 7, 4, 5), k = Exact(2, 7, 2, 5), v = Exact(3, 7, 2, 3), dy = Draw.Tensor(4, 7, 4, 3), y = Tensor.Empty(dy.Shape);
            var forward = new AttentionProblem(q, k, v, y, mask, 0.4f, 0, null);
            var values = new double[y.Elements];
            var (dq, dk, dv) = Definition(new AttentionProblem(q, k, v, dy, mask, 0.4f, 0, null));
            FiniteDifferences.Assert(FiniteDifferences.Of(q.Span<float>(), Loss), dq, $"q, {mask}");
            FiniteDifferences.Assert(FiniteDifferences.Of(k.Span<float>(), Loss), dk, $"k, {mask}");
            FiniteDifferences.Assert(FiniteDifferences.Of(v.Span<float>(), Loss), dv, $"v, {mask}");

            double Loss()
            {
                Attention.Definition(forward, values);
                return values.Zip(dy.Span<float>().ToArray(), (value, slope) => value * slope).Sum();
            }
        }
    }

    [Fact]
    public void Apply_equals_the_definition()
    {
        foreach (var mask in Square)
            Check(7, 7, 4, 2, 16, 16, mask);
        for (var width = 1; width <= 70; width++)
            Check(3, 9, 2, 1, width, 71 - width, AttentionMask.Causal);
        for (var queries = 1; queries <= 40; queries++)
            Check(queries, queries + 3, 2, 2, 5, 5, AttentionMask.Causal);
        foreach (var (heads, groups) in (ReadOnlySpan<(int, int)>)[(1, 1), (6, 2), (14, 2), (8, 1)])
            Check(30, 40, heads, groups, 12, 12, AttentionMask.Causal);
        Check(150, 300, 8, 4, 32, 32, AttentionMask.SlidingWindow(70));
        Check(4, 6, 2, 1, 8, 8, AttentionMask.Ranges([0, 3, 2, 1], [2, 3, 6, 0])); // two queries see nothing
    }

    [Fact]
    public void Scores_beyond_the_range_of_exp_are_no_trouble()
    {
        using Tensor q = Draw.Tensor(1, 5, 2, 8), k = Draw.Tensor(2, 9, 2, 8), v = Draw.Tensor(3, 9, 2, 8), dy = Draw.Tensor(4, 5, 2, 8);
        using Tensor dq = Tensor.Empty(q.Shape), dk = Tensor.Empty(k.Shape), dv = Tensor.Empty(v.Shape);
        AttentionGradient.Apply(q, k, v, dy, AttentionMask.Causal, 500, dq, dk, dv);
        foreach (var d in (Tensor[])[dq, dk, dv])
            Assert.All(d.Span<float>().ToArray(), value => Assert.True(float.IsFinite(value)));
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor q = Tensor.Zeros(3, 4, 8), k = Tensor.Zeros(5, 2, 8), wrong = Tensor.Zeros(5, 2, 7);
        Assert.Throws<ShapeException>(() => AttentionGradient.Apply(q, k, k, q, AttentionMask.Full, 1, q, k, wrong));
        Assert.Throws<ShapeException>(() => AttentionGradient.Apply(q, k, wrong, q, AttentionMask.Full, 1, q, k, wrong));
        Assert.Throws<ShapeException>(() => AttentionGradient.Apply(q, k, k, q, AttentionMask.Blocks([0, 3]), 1, q, k, k));
    }

    static void Check(int queries, int keys, int heads, int groups, int width, int valueWidth, AttentionMask mask)
    {
        using Tensor q = Draw.Tensor(1, queries, heads, width), k = Draw.Tensor(2, keys, groups, width), v = Draw.Tensor(3, keys, groups, valueWidth);
        using Tensor dy = Draw.Tensor(4, queries, heads, valueWidth), dq = Tensor.Empty(q.Shape), dk = Tensor.Empty(k.Shape), dv = Tensor.Empty(v.Shape);
        foreach (var d in (Tensor[])[dq, dk, dv])
            d.Span<float>().Fill(float.NaN);
        AttentionGradient.Apply(q, k, v, dy, mask, 0.3f, dq, dk, dv);
        var (expectedQ, expectedK, expectedV) = Definition(new AttentionProblem(q, k, v, dy, mask, 0.3f, 0, null));
        var because = $"{q} {k} {v}";
        Close.Scaled(expectedQ, dq.Span<float>(), Close.AttentionGradient, because + " dq");
        Close.Scaled(expectedK, dk.Span<float>(), Close.AttentionGradient, because + " dk");
        Close.Scaled(expectedV, dv.Span<float>(), Close.AttentionGradient, because + " dv");
    }

    static (double[] Q, double[] K, double[] V) Definition(AttentionProblem p)
    {
        var (dq, dk, dv) = (new double[p.Q.Elements], new double[p.K.Elements], new double[p.V.Elements]);
        AttentionGradient.Definition(p, dq, dk, dv);
        return (dq, dk, dv);
    }

    static Tensor Exact(int seed, params ReadOnlySpan<long> dimensions) =>
        Tensor.From(FiniteDifferences.Draw((int)new Shape(dimensions).Elements, seed), dimensions);
}
