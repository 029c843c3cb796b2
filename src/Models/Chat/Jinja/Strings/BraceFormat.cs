using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary><c>'{} and {name!r:&gt;8}'.format(…)</c></summary>
sealed class BraceFormat(Arguments arguments)
{
    int next;

    public string Apply(string format, int depth = 0)
    {
        if (depth > 2)
            throw new TemplateFault("Max string recursion exceeded");
        var result = new Writer(arguments.Budget);
        for (var at = 0; at < format.Length;)
        {
            var c = format[at];
            if (c is '{' or '}' && at + 1 < format.Length && format[at + 1] == c)
            {
                result.Append(c);
                at += 2;
            }
            else if (c == '{')
            {
                var end = Close(format, at);
                result.Append(Field(format[(at + 1)..end], depth));
                at = end + 1;
            }
            else if (c == '}')
                throw new TemplateFault("Single '}' encountered in format string");
            else
            {
                result.Append(c);
                at++;
            }
        }

        return result.ToString();
    }

    static int Close(string format, int open)
    {
        var depth = 0;
        for (var at = open; at < format.Length; at++)
            if (format[at] == '{')
                depth++;
            else if (format[at] == '}' && --depth == 0)
                return at;
        throw new TemplateFault("expected '}' before end of string");
    }

    string Field(string field, int depth)
    {
        var colon = field.IndexOf(':');
        var spec = colon < 0 ? "" : field[(colon + 1)..];
        var name = colon < 0 ? field : field[..colon];
        var mark = name.IndexOf('!');
        var conversion = mark < 0 ? "" : name[(mark + 1)..];
        var value = Resolve(mark < 0 ? name : name[..mark]);
        value = conversion switch
        {
            "" => value,
            "s" => new Text(value.Str(arguments.Budget)),
            "r" => Repr(value),
            _ => throw new TemplateFault($"Unknown conversion specifier '{conversion}'"),
        };
        if (spec.Contains('{'))
            spec = Apply(spec, depth + 1);
        return spec.Length == 0 ? value.Str(arguments.Budget) : FormatSpec.Parse(spec).Apply(value, arguments.Budget);
    }

    /// <summary><c>0</c>, <c>name</c>, nothing for the next one; then <c>.attribute</c> and <c>[key]</c>.</summary>
    Value Resolve(string name)
    {
        var end = name.AsSpan().IndexOfAny('.', '[');
        var first = end < 0 ? name : name[..end];
        var value = first.Length == 0 ? Positional(next++)
            : int.TryParse(first, out var index) ? Positional(index)
            : arguments.Keywords.TryGetValue(first, out var keyword) ? keyword
            : throw new TemplateFault($"the format's key '{first}' is missing");

        for (var at = end < 0 ? name.Length : end; at < name.Length;)
            if (name[at] == '.')
            {
                var stop = name.AsSpan(at + 1).IndexOfAny('.', '[') is >= 0 and var length ? at + 1 + length : name.Length;
                value = Lookup.Member(value, name[(at + 1)..stop], arguments.Budget);
                at = stop;
            }
            else
            {
                var stop = name.IndexOf(']', at);
                if (stop < 0)
                    throw new TemplateFault("Missing ']' in format string");
                var key = name[(at + 1)..stop];
                value = Lookup.Subscript(value, int.TryParse(key, out var i) ? new Integer(i) : new Text(key), arguments.Budget);
                at = stop + 1;
                if (at < name.Length && name[at] is not ('.' or '['))
                    throw new TemplateFault("Only '.' or '[' may follow ']' in format field specifier");
            }

        return value;
    }

    Value Positional(int index) => index >= 0 && index < arguments.Positional.Count
        ? arguments.Positional[index]
        : throw new TemplateFault($"Replacement index {index} out of range for positional args tuple");

    Text Repr(Value value)
    {
        var writer = new Writer(arguments.Budget);
        value.Repr(writer);
        return new(writer.ToString());
    }
}
