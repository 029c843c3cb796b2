using System.Numerics;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>range(start, stop, step), at most <see cref="Limits.Range"/> long.</summary>
sealed class RangeValue : Value
{
    readonly BigInteger start, stop, step;
    readonly int count;

    public RangeValue(BigInteger start, BigInteger stop, BigInteger step)
    {
        if (step.IsZero)
            throw new TemplateFault("range() arg 3 must not be zero");
        (this.start, this.stop, this.step) = (start, stop, step);
        var distance = step.Sign > 0 ? stop - start : start - stop;
        var length = distance.Sign <= 0 ? 0 : (distance - 1) / BigInteger.Abs(step) + 1;
        if (length > Limits.Range)
            throw new TemplateFault(
                $"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({Limits.Range}).");
        count = (int)length;
    }

    public override string TypeName => "range";
    public override bool IsTrue => count > 0;
    public override int? Length => count;
    public override IEnumerable<Value> Items => Enumerable.Range(0, count).Select(At);

    public Value At(int index) => new Integer(start + index * step);

    /// <summary>Places first, first + stride, … before end.</summary>
    public RangeValue Slice(int first, int end, int stride) => new(start + first * step, start + end * step, step * stride);

    public override Value? Item(Value key, Budget budget) => Sequence.Index(key, count) is { } index ? At(index) : null;

    public override void Repr(Writer to) => to.Append(step.IsOne ? $"range({start}, {stop})" : $"range({start}, {stop}, {step})");
}
