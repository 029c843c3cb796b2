using Nibble.Models;
using Nibble.Quant;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>Rows of the quantized model beside those of the original, which may send other tokens through an expert.</summary>
public sealed class PairedRowsTests
{
    [Fact]
    public void A_token_has_its_own_row_beside_it_and_one_the_original_sends_elsewhere_has_no_mismatch()
    {
        var (now, before) = (Draw.Tensor(1, 3, 4), Draw.Tensor(2, 2, 4));
        float[] own = now.Row(1).ToArray(), five = before.Row(0).ToArray(), nine = before.Row(1).ToArray();
        using var pairs = new PairedRows(new InputRows(now, [9, 3, 5]), new InputRows(before, [5, 9]), x => x);
        Assert.Equal(nine, pairs.Original!.Row(0).ToArray());
        Assert.Equal(own, pairs.Original.Row(1).ToArray());
        Assert.Equal(five, pairs.Original.Row(2).ToArray());
    }

    [Fact]
    public void Rows_of_all_tokens_are_paired_as_they_come_and_rounded_once()
    {
        using Tensor now = Draw.Tensor(1, 3, 4), before = Draw.Tensor(2, 3, 4), rounded = Draw.Tensor(3, 3, 4);
        using (var pairs = new PairedRows(new InputRows(now), new InputRows(before), x => ReferenceEquals(x, now) ? rounded.Clone() : x))
        {
            Assert.Equal(rounded.Span<float>().ToArray(), pairs.X.Span<float>().ToArray());
            Assert.Same(before, pairs.Original);
        }
        Assert.Equal(Draw.Tensor(1, 3, 4).Span<float>().ToArray(), now.Span<float>().ToArray()); // not ours to release
        using var alone = new PairedRows(new InputRows(now), null, x => x);
        Assert.Null(alone.Original);
    }
}
