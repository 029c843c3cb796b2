using System.Numerics;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>The functions every template may call: Jinja's, and the two Transformers adds.</summary>
static class Globals
{
    const int LongestTimeFormat = 1000;

    public static Scope Create(DateTime now)
    {
        var scope = new Scope(null);
        Add("range", Range);
        Add("dict", Dict);
        Add("namespace", a => new Namespace(Dict(a), a.Budget));
        Add("cycler", Cycler);
        Add("joiner", Joiner);
        Add("raise_exception", a => throw new TemplateFault(a.Bind(1, "message")[0]!.Str(a.Budget)));
        Add("strftime_now", a => StrftimeNow(a, now));
        return scope;

        void Add(string name, Func<Arguments, Value> body) => scope.Set(name, new Function(name, body));
    }

    static Value Range(Arguments a)
    {
        if (a.Positional.Count is 0 or > 3 || a.Keywords.Count > 0)
            throw new TemplateFault($"range expected 1 to 3 arguments, got {a.Positional.Count}");
        var numbers = a.Positional.Select(value => Number.IsInteger(value, out var number)
            ? number
            : throw new TemplateFault($"'{value.TypeName}' object cannot be interpreted as an integer")).ToArray();
        return numbers.Length == 1
            ? new RangeValue(0, numbers[0], 1)
            : new RangeValue(numbers[0], numbers[1], numbers.Length == 3 ? numbers[2] : BigInteger.One);
    }

    static DictValue Dict(Arguments a)
    {
        if (a.Positional.Count > 1)
            throw new TemplateFault($"dict expected at most 1 argument, got {a.Positional.Count}");
        var pairs = a.Positional is [DictValue dict] ? dict.Entries.Select(entry => (entry.Key, entry.Value))
            : a.Positional is [var items] ? Membership.Iterate(items, a.Budget).Select(item => Pair(item, a.Budget))
            : [];
        return new(pairs.Concat(a.Keywords.Select(pair => ((Value)new Text(pair.Key), pair.Value))), a.Budget);
    }

    static (Value, Value) Pair(Value item, Budget budget) => Membership.ToArray(item, budget) is [var key, var value]
        ? (key, value)
        : throw new TemplateFault("dict() needs pairs");

    static Value Cycler(Arguments a) => a.Positional.Count > 0
        ? new Cycler(a.Positional)
        : throw new TemplateFault("at least one item has to be provided");

    /// <summary>Nothing the first time, the separator from then on.</summary>
    static Function Joiner(Arguments a)
    {
        var separator = a.Bind(0, "sep")[0] ?? new Text(", ");
        var used = false;
        return new("joiner", _ =>
        {
            var value = used ? separator : new Text("");
            used = true;
            return value;
        });
    }

    static Text StrftimeNow(Arguments a, DateTime now)
    {
        var format = a.String(a.Bind(1, "format")[0], "");
        return format.Length <= LongestTimeFormat
            ? new(Strftime.Apply(format, now))
            : throw new TemplateFault($"a time format of {format.Length} characters; {LongestTimeFormat} are allowed");
    }
}
