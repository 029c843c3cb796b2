using System.Globalization;
using System.Text;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>tojson as Transformers defines it: Python's json.dumps, nothing escaped for HTML, other scripts kept.</summary>
sealed class JsonFilter
{
    readonly Writer to;
    readonly bool ascii, sorted;
    readonly string? indent;
    readonly string itemSeparator, keySeparator;

    JsonFilter(Arguments a)
    {
        var bound = a.Bind(0, "ensure_ascii", "indent", "separators", "sort_keys");
        to = new Writer(a.Budget);
        ascii = Arguments.Flag(bound[0], false);
        sorted = Arguments.Flag(bound[3], false);
        indent = bound[1] switch
        {
            null or None => null,
            Text text => text.Value,
            _ when a.Integer(bound[1], 0) is <= 100 and var width => new string(' ', Math.Max(width, 0)),
            _ => throw new TemplateFault("tojson: indent is at most 100"),
        };
        (itemSeparator, keySeparator) = (indent is null ? ", " : ",", ": ");
        if (bound[2] is not (null or None))
            (itemSeparator, keySeparator) = Membership.ToArray(bound[2]!, a.Budget) is [Text item, Text key]
                ? (item.Value, key.Value)
                : throw new TemplateFault("tojson: separators are two strings");
    }

    public static Value ToJson(Value input, Arguments a)
    {
        var filter = new JsonFilter(a);
        filter.Write(input, 1);
        return new Text(filter.to.ToString());
    }

    void Write(Value value, int depth)
    {
        Budget.Stack();
        to.Budget.Step();
        switch (value)
        {
            case Text text:
                Quote(text.Value);
                break;
            case Sequence sequence:
                Write('[', ']', sequence.Values, depth, item => Write(item, depth + 1));
                break;
            case DictValue dict:
                Write('{', '}', Entries(dict), depth, entry =>
                {
                    Quote(Key(entry.Key));
                    to.Append(keySeparator);
                    Write(entry.Value, depth + 1);
                });
                break;
            case None or Bool or Integer or Float:
                to.Append(Scalar(value));
                break;
            default:
                throw new TemplateFault($"Object of type {value.TypeName} is not JSON serializable");
        }
    }

    void Write<T>(char open, char close, IReadOnlyCollection<T> items, int depth, Action<T> write)
    {
        to.Append(open);
        var first = true;
        foreach (var item in items)
        {
            if (!first)
                to.Append(itemSeparator);
            NewLine(depth);
            write(item);
            first = false;
        }

        if (!first)
            NewLine(depth - 1);
        to.Append(close);
    }

    void NewLine(int depth)
    {
        if (indent is null)
            return;
        to.Append('\n');
        for (var i = 0; i < depth; i++)
            to.Append(indent);
    }

    KeyValuePair<Value, Value>[] Entries(DictValue dict)
    {
        to.Budget.Step(dict.Entries.Count);
        KeyValuePair<Value, Value>[] entries = [.. dict.Entries];
        if (sorted)
            Ordering.Sort(entries, entry => entry.Key, reverse: false, to.Budget);
        return entries;
    }

    static string Key(Value key) => key switch
    {
        Text text => text.Value,
        None or Bool or Integer or Float => Scalar(key),
        _ => throw new TemplateFault($"keys must be str, int, float, bool or None, not {key.TypeName}"),
    };

    static string Scalar(Value value) => value switch
    {
        None => "null",
        Bool flag => flag.IsTrue ? "true" : "false",
        Integer integer => integer.Value.ToString(CultureInfo.InvariantCulture),
        Float { Value: double.NaN } => "NaN",
        Float { Value: double.PositiveInfinity } => "Infinity",
        Float { Value: double.NegativeInfinity } => "-Infinity",
        _ => Strings.FloatText.Repr(((Float)value).Value),
    };

    void Quote(string text)
    {
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        foreach (var c in text)
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                '\f' => quoted.Append("\\f"),
                '\b' => quoted.Append("\\b"),
                _ when c < ' ' || ascii && c > '~' => quoted.Append($"\\u{(int)c:x4}"),
                _ => quoted.Append(c),
            };
        to.Append(quoted.Append('"').ToString());
    }
}
