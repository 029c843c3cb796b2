using System.Numerics;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary><c>value[start:stop:step]</c> of strings, lists, tuples and ranges; nothing at all of other types.</summary>
static class Slicing
{
    public static Value Apply(Value value, Value start, Value stop, Value step, Budget budget)
    {
        if (value is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (value is not (Text or Sequence or RangeValue))
            return new Undefined($"{Lookup.Describe(value)} has no element slice");

        var (first, stride, count) = Indices(value.Length!.Value, start, stop, step);
        budget.Step(count);
        return value switch
        {
            Text text => Characters(text, first, stride, count, budget),
            Sequence sequence => sequence.With(Pick(i => sequence.Values[i], first, stride, count)),
            _ => new ListValue(Pick(((RangeValue)value).At, first, stride, count)),
        };
    }

    static Text Characters(Text text, int first, int stride, int count, Budget budget)
    {
        if (stride == 1)
        {
            var piece = text.Between(first, first + count);
            budget.Text(piece.Length);
            return new(piece);
        }

        var result = new System.Text.StringBuilder();
        for (var i = 0; i < count; i++)
            result.Append(text.At(first + i * stride));
        budget.Text(result.Length);
        return new(result.ToString());
    }

    static Value[] Pick(Func<int, Value> item, int first, int stride, int count)
    {
        var picked = new Value[count];
        for (var i = 0; i < count; i++)
            picked[i] = item(first + i * stride);
        return picked;
    }

    /// <summary>Python's slice.indices(): first index, distance and number of items.</summary>
    static (int First, int Stride, int Count) Indices(int length, Value start, Value stop, Value step)
    {
        var stride = Bound(step) ?? 1;
        if (stride == 0)
            throw new TemplateFault("slice step cannot be zero");
        stride = Math.Clamp(stride, -length - 1, length + 1); // farther is past the end, too
        var (low, high) = stride > 0 ? (0, length) : (-1, length - 1);
        var first = Place(Bound(start), length, low, high) ?? (stride > 0 ? low : high);
        var end = Place(Bound(stop), length, low, high) ?? (stride > 0 ? high : low);
        var distance = stride > 0 ? end - first : first - end;
        return distance <= 0 ? (0, 1, 0) : (first, stride, (distance - 1) / Math.Abs(stride) + 1);
    }

    static int? Place(int? bound, int length, int low, int high) =>
        bound is { } index ? (int)Math.Clamp(index < 0 ? (long)index + length : index, low, high) : null;

    static int? Bound(Value value)
    {
        if (value is None)
            return null;
        return Number.IsInteger(value, out var number)
            ? (int)BigInteger.Clamp(number, int.MinValue, int.MaxValue)
            : throw new TemplateFault("slice indices must be integers or None or have an __index__ method");
    }
}
