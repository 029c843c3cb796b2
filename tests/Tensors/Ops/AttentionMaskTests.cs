using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Tensors.Ops;

public class AttentionMaskTests
{
    [Fact]
    public void Causal_queries_are_the_last_of_the_keys() =>
        Assert.Equal(["##...", "###..", "####.", "#####"], Picture(AttentionMask.Causal, 4, 5));

    [Fact]
    public void A_window_counts_the_query_itself() =>
        Assert.Equal(["#....", "##...", ".##..", "..##.", "...##"], Picture(AttentionMask.SlidingWindow(2), 5, 5));

    [Fact]
    public void A_window_of_one_token_in_decoding() =>
        Assert.Equal(["..###"], Picture(AttentionMask.SlidingWindow(3), 1, 5));

    [Fact]
    public void Blocks_see_themselves_both_ways() =>
        Assert.Equal(["##...", "##...", "..###", "..###", "..###"], Picture(AttentionMask.Blocks([0, 2, 2, 5]), 5, 5));

    [Fact]
    public void Full_sees_everything() => Assert.Equal(["###", "###"], Picture(AttentionMask.Full, 2, 3));

    [Fact]
    public void Ranges_are_taken_as_they_are() =>
        Assert.Equal([".##", "...", "#.."], Picture(AttentionMask.Ranges([1, 2, 0], [3, 2, 1]), 3, 3));

    [Fact]
    public void Masks_that_do_not_fit_are_refused()
    {
        Assert.Throws<ShapeException>(() => AttentionMask.SlidingWindow(0));
        Assert.Throws<ShapeException>(() => AttentionMask.Blocks([]));
        Assert.Throws<ShapeException>(() => AttentionMask.Blocks([1, 2]));
        Assert.Throws<ShapeException>(() => AttentionMask.Blocks([0, 3, 2]));
        Assert.Throws<ShapeException>(() => AttentionMask.Ranges([0], [1, 2]));
        Assert.Throws<ShapeException>(() => AttentionMask.Ranges([-1], [1]));
        Assert.Throws<ShapeException>(() => AttentionMask.Causal.Check(3, 2));
        Assert.Throws<ShapeException>(() => AttentionMask.Blocks([0, 2]).Check(2, 3));
        Assert.Throws<ShapeException>(() => AttentionMask.Blocks([0, 2]).Check(3, 3));
        Assert.Throws<ShapeException>(() => AttentionMask.Ranges([0], [3]).Check(1, 2));
    }

    static string[] Picture(AttentionMask mask, int queries, int keys)
    {
        mask.Check(queries, keys);
        return [.. Enumerable.Range(0, queries).Select(t =>
        {
            var (from, to) = mask.Visible(t, queries, keys);
            return string.Concat(Enumerable.Range(0, keys).Select(s => s >= from && s < to ? '#' : '.'));
        })];
    }
}
