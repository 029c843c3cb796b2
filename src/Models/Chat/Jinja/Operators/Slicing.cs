using System.Numerics;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary><c>value[start:stop:step]</c> of strings, lists, tuples and ranges.</summary>
static class Slicing
{
    public static Value Apply(Value value, Value start, Value stop, Value step, Budget budget)
    {
        if (value is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (value is not (Text or Sequence or RangeValue))
            throw new TemplateFault(value is DictValue
                ? "unhashable type: 'slice'"
                : $"'{value.TypeName}' object is not subscriptable");

        var (first, end, stride) = Indices(value.Length!.Value, start, stop, step);
        var distance = stride > 0 ? end - first : first - end;
        var count = distance <= 0 ? 0 : (distance - 1) / Math.Abs(stride) + 1;
        if (value is RangeValue range)
            return range.Slice(first, end, stride);
        budget.Step(count);
        if (value is Text text)
            return Characters(text, first, stride, count, budget);

        var sequence = (Sequence)value;
        var picked = new Value[count];
        for (var i = 0; i < count; i++)
            picked[i] = sequence.Values[first + i * stride];
        return sequence.With(picked);
    }

    static Text Characters(Text text, int first, int stride, int count, Budget budget)
    {
        if (stride == 1 || count == 0)
        {
            var piece = count == 0 ? "" : text.Between(first, first + count);
            budget.Text(piece.Length);
            return new(piece);
        }

        var result = new System.Text.StringBuilder();
        for (var i = 0; i < count; i++)
            result.Append(text.At(first + i * stride));
        budget.Text(result.Length);
        return new(result.ToString());
    }

    /// <summary>Python's slice.indices(): the first index, the one that is not reached, and the distance.</summary>
    static (int First, int End, int Stride) Indices(int length, Value start, Value stop, Value step)
    {
        var stride = Bound(step) ?? 1;
        if (stride == 0)
            throw new TemplateFault("slice step cannot be zero");
        stride = Math.Clamp(stride, -length - 1, length + 1); // farther is past the end, too
        var (low, high) = stride > 0 ? (0, length) : (-1, length - 1);
        var first = Place(Bound(start), length, low, high) ?? (stride > 0 ? low : high);
        var end = Place(Bound(stop), length, low, high) ?? (stride > 0 ? high : low);
        return (first, end, stride);
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
