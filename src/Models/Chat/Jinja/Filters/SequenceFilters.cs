using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>Filters over anything with items.</summary>
static class SequenceFilters
{
    public static Value Length(Value input, Arguments a)
    {
        a.Bind(0);
        return new Integer(input.Length ?? throw new TemplateFault($"object of type '{input.TypeName}' has no len()"));
    }

    public static Value List(Value input, Arguments a)
    {
        a.Bind(0);
        return new ListValue(Membership.ToArray(input, a.Budget));
    }

    public static Value First(Value input, Arguments a)
    {
        a.Bind(0);
        return Membership.Iterate(input, a.Budget).FirstOrDefault() ?? new Undefined("No first item, sequence was empty.");
    }

    public static Value Last(Value input, Arguments a)
    {
        a.Bind(0);
        if (input.Length is null)
            throw new TemplateFault($"'{input.TypeName}' object is not reversible");
        return Membership.ToArray(input, a.Budget) is [.., var last] ? last : new Undefined("No last item, sequence was empty.");
    }

    public static Value Reverse(Value input, Arguments a)
    {
        a.Bind(0);
        if (input is Text)
            return Slicing.Apply(input, None.Value, None.Value, new Integer(-1), a.Budget);
        var items = Membership.ToArray(input, a.Budget);
        Array.Reverse(items);
        return new IteratorValue(items);
    }

    public static Value Join(Value input, Arguments a)
    {
        var bound = a.Bind(0, "d", "attribute");
        var separator = bound[0]?.Str(a.Budget) ?? "";
        var path = bound[1] is null or None ? null : AttributePath.Parse(bound[1]!);
        var result = new Writer(a.Budget);
        var first = true;
        foreach (var item in Membership.Iterate(input, a.Budget))
        {
            if (!first)
                result.Append(separator);
            (path is null ? item : Lookup.Path(item, path, a.Budget)).Print(result);
            first = false;
        }

        return new Text(result.ToString());
    }

    /// <summary>Pairs of a mapping; nothing of an undefined value.</summary>
    public static Value Items(Value input, Arguments a)
    {
        a.Bind(0);
        return input switch
        {
            Undefined => new IteratorValue([]),
            DictValue dict => new IteratorValue(dict.Entries.Select(entry => new TupleValue([entry.Key, entry.Value]))),
            _ => throw new TemplateFault("Can only get item pairs from a mapping."),
        };
    }

    /// <summary>Rows of so many items, the last filled up when <c>fill_with</c> is given.</summary>
    public static Value Batch(Value input, Arguments a)
    {
        var bound = a.Bind(1, "linecount", "fill_with");
        var size = Math.Max(a.Integer(bound[0], 1), 1);
        return new IteratorValue(Rows());

        IEnumerable<Value> Rows()
        {
            var row = new List<Value>();
            foreach (var item in Membership.Iterate(input, a.Budget))
            {
                if (row.Count == size)
                {
                    yield return new ListValue(row);
                    row = [];
                }

                row.Add(item);
            }

            if (row.Count == 0)
                yield break;
            if (bound[1] is { } fill and not None)
            {
                a.Budget.Step(size - row.Count);
                row.AddRange(Enumerable.Repeat(fill, size - row.Count));
            }

            yield return new ListValue(row);
        }
    }

    /// <summary>So many columns of nearly equal length.</summary>
    public static Value Slice(Value input, Arguments a)
    {
        var bound = a.Bind(1, "slices", "fill_with");
        var slices = a.Integer(bound[0], 1);
        if (slices <= 0)
            throw new TemplateFault("integer division or modulo by zero");
        return new IteratorValue(Columns());

        IEnumerable<Value> Columns()
        {
            var items = Membership.ToArray(input, a.Budget);
            var (size, longer) = Math.DivRem(items.Length, slices);
            for (int i = 0, start = 0; i < slices; i++)
            {
                a.Budget.Step(Limits.StepsPerObject);
                var length = size + (i < longer ? 1 : 0);
                List<Value> column = [.. items.AsSpan(start, length)];
                if (i >= longer && bound[1] is { } fill and not None)
                    column.Add(fill);
                start += length;
                yield return new ListValue(column);
            }
        }
    }
}
