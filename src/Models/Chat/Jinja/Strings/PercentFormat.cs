using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>printf-style formatting: <c>'%s is %d' % (name, 3)</c>.</summary>
static class PercentFormat
{
    public static Value Apply(string format, Value values, Budget budget)
    {
        var given = values is TupleValue tuple ? tuple.Values : [values];
        var used = 0;
        var byName = false;
        var result = new Writer(budget);

        Value Next() => used < given.Count ? given[used++] : throw new TemplateFault("not enough arguments for format string");

        for (var at = 0; at < format.Length;)
        {
            var percent = format.IndexOf('%', at);
            if (percent < 0)
                percent = format.Length;
            result.Append(format[at..percent]);
            if (percent == format.Length)
                break;

            at = percent + 1;
            Value? named = null;
            if (at < format.Length && format[at] == '(')
            {
                var close = format.IndexOf(')', at);
                if (close < 0)
                    throw new TemplateFault("incomplete format key");
                if (values is not DictValue dict)
                    throw new TemplateFault("format requires a mapping");
                named = dict.TryGet(format[(at + 1)..close], out var value)
                    ? value
                    : throw new TemplateFault($"the format's key '{format[(at + 1)..close]}' is missing");
                (byName, at) = (true, close + 1);
            }

            var start = at;
            while (at < format.Length && "#0- +".Contains(format[at]))
                at++;
            var flags = format[start..at];
            var width = Size(format, ref at, Next) ?? 0;
            var precision = -1;
            if (at < format.Length && format[at] == '.')
            {
                at++;
                precision = Math.Max(Size(format, ref at, Next) ?? 0, 0);
            }

            while (at < format.Length && format[at] is 'h' or 'l' or 'L')
                at++;
            if (at == format.Length)
                throw new TemplateFault("incomplete format");
            var type = format[at++];
            if (type == '%')
                result.Append('%');
            else
                result.Append(One(type, flags, width, precision, named ?? Next(), budget));
        }

        if (!byName && used < given.Count && values is not (DictValue or ListValue or RangeValue or Undefined))
            throw new TemplateFault("not all arguments converted during string formatting");
        return new Text(result.ToString());
    }

    static string One(char type, string flags, int width, int precision, Value value, Budget budget)
    {
        var left = width < 0 || flags.Contains('-');
        var plain = new FormatSpec(" ", left ? '<' : '>', '\0', false, Math.Abs(width), '\0', -1, 's');
        switch (type)
        {
            case 's':
                return (plain with { Precision = precision }).Apply(new Text(value.Str(budget)), budget);
            case 'r':
                return (plain with { Precision = precision }).Apply(Repr(value, budget), budget);
            case 'c' when value is Text text:
                return text.Count == 1 ? plain.Apply(text, budget) : throw new TemplateFault("%c requires int or char");
            case 'c' when Number.IsInteger(value, out _):
                return (plain with { Type = 'c' }).Apply(value, budget);
        }

        if (!"diuoxXeEfFgG".Contains(type))
            throw new TemplateFault($"unsupported format character '{type}'");
        if (!Number.Is(value) || "oxX".Contains(type) && value is Float)
            throw new TemplateFault($"%{type} format: a number is required, not {value.TypeName}");

        var zeros = flags.Contains('0') && !left;
        var spec = plain with
        {
            Fill = zeros ? "0" : " ",
            Align = zeros ? '=' : plain.Align,
            Sign = flags.Contains('+') ? '+' : flags.Contains(' ') ? ' ' : '\0',
            Alternate = flags.Contains('#'),
        };
        if (!"diuoxX".Contains(type))
            return (spec with { Type = type, Precision = precision }).Apply(value, budget);
        spec = spec with { Type = "diu".Contains(type) ? 'd' : type, MinDigits = Math.Max(precision, 0) };
        return spec.Apply(Conversion.Truncate(value), budget);
    }

    static Text Repr(Value value, Budget budget)
    {
        var writer = new Writer(budget);
        value.Repr(writer);
        return new(writer.ToString());
    }

    static int? Size(string format, ref int at, Func<Value> next)
    {
        if (at < format.Length && format[at] == '*')
        {
            at++;
            return Number.IsInteger(next(), out var star) && star >= -Limits.StringCharacters && star <= Limits.StringCharacters
                ? (int)star
                : throw new TemplateFault("* wants int");
        }

        var start = at;
        while (at < format.Length && char.IsAsciiDigit(format[at]))
            at++;
        if (at == start)
            return null;
        return int.TryParse(format.AsSpan(start, at - start), out var size)
            ? size
            : throw new TemplateFault("a width in a format is too big");
    }
}
