using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class AttentionTests
{
    [Fact]
    public void Every_head_width()
    {
        for (var width = 1; width <= 256; width++)
        {
            Check(queries: 3, keys: 7, heads: 2, groups: 1, width, AttentionMask.Causal);
            Check(queries: 9, keys: 11, heads: 2, groups: 1, width, AttentionMask.Causal);
        }
    }

    [Fact]
    public void Every_number_of_queries()
    {
        for (var queries = 1; queries <= 140; queries++)
            Check(queries, queries + 3, heads: 1, groups: 1, width: 5, AttentionMask.Causal);
    }

    [Fact]
    public void Every_number_of_keys()
    {
        for (var keys = 0; keys <= 200; keys++)
        {
            Check(queries: 1, keys, heads: 3, groups: 3, width: 4, AttentionMask.Full);
            Check(queries: 17, keys, heads: 1, groups: 1, width: 4, AttentionMask.Full);
        }
    }

    [Fact]
    public void Every_sharing_of_keys()
    {
        foreach (var (heads, groups) in (ReadOnlySpan<(int, int)>)[(1, 1), (4, 4), (4, 2), (6, 2), (14, 2), (8, 1), (71, 1)])
            foreach (var queries in (int[])[1, 2, 30])
                Check(queries, 40, heads, groups, width: 12, AttentionMask.Causal);
    }

    [Fact]
    public void Long_sequences_in_chunks_and_tiles()
    {
        Check(queries: 1, keys: 257, heads: 2, groups: 1, width: 20, AttentionMask.Causal);
        Check(queries: 2, keys: 3001, heads: 2, groups: 2, width: 16, AttentionMask.Causal);
        Check(queries: 150, keys: 500, heads: 2, groups: 1, width: 20, AttentionMask.Causal);
    }

    [Fact]
    public void Every_mask()
    {
        for (var window = 1; window <= 130; window += 7)
        {
            Check(queries: 130, keys: 210, heads: 1, groups: 1, width: 8, AttentionMask.SlidingWindow(window));
            Check(queries: 2, keys: 700, heads: 1, groups: 1, width: 8, AttentionMask.SlidingWindow(window));
        }
        Check(queries: 210, keys: 210, heads: 2, groups: 2, width: 8, AttentionMask.Blocks([0, 1, 17, 64, 64, 163, 200, 210]));
        Check(queries: 7, keys: 7, heads: 2, groups: 2, width: 8, AttentionMask.Blocks([0, 3, 7]));
        Check(queries: 3, keys: 300, heads: 2, groups: 1, width: 8, AttentionMask.Ranges([0, 290, 40], [1, 300, 200]));
        int[] from = [.. Enumerable.Range(0, 100).Select(t => t * 37 % 90)];
        int[] to = [.. from.Select(key => key + 1 + key * 2)];
        Check(queries: 100, keys: 300, heads: 2, groups: 1, width: 8, AttentionMask.Ranges(from, to));
    }

    [Theory, InlineData(1), InlineData(40)]
    public void Queries_that_see_nothing_get_zeros(int queries)
    {
        int[] from = [.. Enumerable.Repeat(3, queries)], to = [.. Enumerable.Repeat(3, queries)];
        (from[^1], to[^1]) = queries > 1 ? (2, 4) : (3, 3);
        using Tensor q = Draw.Tensor(1, queries, 2, 8), k = Draw.Tensor(2, 9, 2, 8), v = Draw.Tensor(3, 9, 2, 8);
        using var y = Tensor.Empty(q.Shape);
        Attention.Apply(q, k, v, y, AttentionMask.Ranges(from, to), 1);
        Assert.All(y.Slice(0, queries - 1).Span<float>().ToArray(), value => Assert.Equal(0, value));
        Assert.All(y.Slice(queries - 1, 1).Span<float>().ToArray(), value => Assert.Equal(queries == 1, value == 0));
    }

    [Theory, InlineData(1), InlineData(40)]
    public void Soft_cap_and_sinks_and_values_of_another_width(int queries)
    {
        using Tensor q = Draw.Tensor(1, queries, 6, 24), k = Draw.Tensor(2, 60, 2, 24), v = Draw.Tensor(3, 60, 2, 13);
        using Tensor sinks = Draw.Tensor(4, 6), y = Tensor.Empty(queries, 6, 13);
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 0.5f, softCap: 3, null), "soft cap");
        Check(new AttentionProblem(q, k, v, y, AttentionMask.SlidingWindow(5), 0.2f, softCap: 0, sinks), "sinks");
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Full, 0.5f, softCap: 3, sinks), "both");

        Attention.Apply(q, k, v, y, AttentionMask.Full, 0.5f, 3, sinks);
        var expected = new double[y.Elements];
        Attention.Definition(new AttentionProblem(q, k, v, y, AttentionMask.Full, 0.5f, 3, sinks), expected);
        Close.Scaled(expected, y.Span<float>(), Close.Attention);
    }

    [Theory, InlineData(1), InlineData(40)]
    public void Equal_keys_give_the_mean_of_the_visible_values(int queries)
    {
        using Tensor q = Draw.Tensor(1, queries, 1, 8), k = Tensor.Zeros(50, 1, 8), v = Tensor.Empty(50, 1, 1);
        using var y = Tensor.Empty(queries, 1, 1);
        for (var s = 0; s < 50; s++)
            v.Row(s)[0] = s;
        Attention.Apply(q, k, v, y, AttentionMask.SlidingWindow(7), 1);
        for (var t = 0; t < queries; t++)
            Assert.Equal(50 - queries + t - 3, y.Row(t)[0], 1e-4); // the middle of seven
    }

    [Theory, InlineData(2), InlineData(40)]
    public void Scores_beyond_the_range_of_exp_are_no_trouble(int queries)
    {
        using Tensor q = Draw.Tensor(1, queries, 2, 16), k = Draw.Tensor(2, 130, 2, 16), v = Draw.Tensor(3, 130, 2, 16);
        using var y = Tensor.Empty(q.Shape);
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 1000, 0, null), "large", Close.AttentionOfLargeScores);
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 0, 0, null), "no scores");
        q.Span<float>().Fill(-1e4f);
        k.Span<float>().Fill(1e4f);
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 1, 0, null), "all equally small");
    }

    [Theory, InlineData(2), InlineData(40)]
    public void NaN_stays_in_its_row(int queries)
    {
        using Tensor q = Draw.Tensor(1, queries, 2, 16), k = Draw.Tensor(2, 130, 2, 16), v = Draw.Tensor(3, 130, 2, 16);
        using var y = Tensor.Empty(q.Shape);
        q.Row(1)[3] = float.NaN;
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 0.25f, 0, null), "a query");
        q.Row(1)[3] = 0;
        k.Row(2 * 125)[0] = float.NaN; // seen by the queries from key 125 on, in the first head
        Check(new AttentionProblem(q, k, v, y, AttentionMask.Causal, 0.25f, 0, null), "a key");
    }

    [Fact]
    public void Threads_do_not_change_a_bit()
    {
        // Long enough to be cut across threads; each group alone is too short.
        using Tensor q = Draw.Tensor(1, 100, 8, 32), k = Draw.Tensor(2, 200, 8, 32), v = Draw.Tensor(3, 200, 8, 32);
        using var y = Tensor.Empty(q.Shape);
        Attention.Apply(q, k, v, y, AttentionMask.Causal, 0.2f);
        for (var g = 0; g < 8; g++)
        {
            using Tensor one = Tensor.Empty(100, 1, 32), head = Head(q, g), keys = Head(k, g), values = Head(v, g);
            Attention.Apply(head, keys, values, one, AttentionMask.Causal, 0.2f);
            using var together = Head(y, g);
            Assert.Equal(one.Span<float>().ToArray(), together.Span<float>().ToArray());
        }
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor q = Tensor.Zeros(3, 4, 8), k = Tensor.Zeros(5, 2, 8), y = Tensor.Empty(3, 4, 8), flat = Tensor.Zeros(5, 16);
        using Tensor three = Tensor.Zeros(5, 3, 8), narrow = Tensor.Zeros(5, 2, 7);
        using var half = Tensor.Zeros(new Shape(5, 2, 8), DType.F16);
        Refused("multiple", three, three, AttentionMask.Full);
        Refused("k must have the shape [5, 2, 8]", narrow, k, AttentionMask.Full);
        Refused("y must have the shape [3, 4, 7]", k, narrow, AttentionMask.Full);
        Refused("v must be F32", k, half, AttentionMask.Full);
        Refused("sinks must have 4 elements", k, k, AttentionMask.Full, sinks: k);
        Refused("Rank must be 3", flat, k, AttentionMask.Full);
        Refused("the mask is for 3 queries", k, k, AttentionMask.Blocks([0, 3]));

        void Refused(string message, Tensor k, Tensor v, AttentionMask mask, Tensor? sinks = null) =>
            Assert.Contains(message, Assert.Throws<ShapeException>(() => Attention.Apply(q, k, v, y, mask, 1, 0, sinks)).Message);
    }

    static Tensor Head(Tensor x, int head)
    {
        var result = Tensor.Empty(x.Shape[0], 1, x.Columns);
        for (var t = 0; t < result.Rows; t++)
            x.Row(t * (int)x.Shape[1] + head).CopyTo(result.Row(t));
        return result;
    }

    static void Check(int queries, int keys, int heads, int groups, int width, AttentionMask mask)
    {
        using Tensor q = Draw.Tensor(queries, queries, heads, width), k = Draw.Tensor(keys + 1, keys, groups, width);
        using Tensor v = Draw.Tensor(width + 2, keys, groups, width), y = Tensor.Empty(q.Shape);
        Check(new AttentionProblem(q, k, v, y, mask, 1 / MathF.Sqrt(width), 0, null),
            $"T = {queries}, S = {keys}, H = {heads}, G = {groups}, d = {width}");
    }

    static void Check(AttentionProblem problem, string because, double relative = Close.Attention)
    {
        var expected = new double[problem.Y.Elements];
        Attention.Definition(problem, expected);
        Attention.Host<Floats4>(problem);
        Close.Scaled(expected, problem.Y.Span<float>(), relative, $"{because}, 4 lanes");
        Attention.Host<Floats8>(problem);
        Close.Scaled(expected, problem.Y.Span<float>(), relative, $"{because}, 8 lanes");
        Attention.Host<Floats16>(problem);
        Close.Scaled(expected, problem.Y.Span<float>(), relative, $"{because}, 16 lanes");
    }
}
