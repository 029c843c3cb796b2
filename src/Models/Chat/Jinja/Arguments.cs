using System.Numerics;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>What a call, a filter or a test was given.</summary>
/// <param name="name">Of the callee, for messages.</param>
sealed class Arguments(string name, IReadOnlyList<Value> positional, IReadOnlyDictionary<string, Value> keywords, Budget budget)
{
    static readonly IReadOnlyDictionary<string, Value> NoKeywords = new Dictionary<string, Value>();

    public Arguments(string name, IReadOnlyList<Value> positional, Budget budget) : this(name, positional, NoKeywords, budget)
    {
    }

    public IReadOnlyList<Value> Positional { get; } = positional;
    public IReadOnlyDictionary<string, Value> Keywords { get; } = keywords;
    public Budget Budget { get; } = budget;

    /// <summary>The values of these parameters, null where not given; the first <paramref name="required"/> must be.</summary>
    public Value?[] Bind(int required, params ReadOnlySpan<string> names)
    {
        if (Positional.Count > names.Length)
            throw new TemplateFault($"{name}() takes at most {names.Length} arguments, {Positional.Count} were given");
        var values = new Value?[names.Length];
        for (var i = 0; i < Positional.Count; i++)
            values[i] = Positional[i];
        foreach (var (key, value) in Keywords)
        {
            var index = names.IndexOf(key);
            if (index < 0)
                throw new TemplateFault($"{name}() has no argument '{key}'");
            if (values[index] is not null)
                throw new TemplateFault($"{name}() got two values for argument '{key}'");
            values[index] = value;
        }

        for (var i = 0; i < required; i++)
            if (values[i] is null)
                throw new TemplateFault($"{name}() needs argument '{names[i]}'");
        return values;
    }

    /// <summary>The arguments behind the first <paramref name="count"/>.</summary>
    public Arguments Skip(string callee, int count) => new(callee, [.. Positional.Skip(count)], Keywords, Budget);

    /// <summary>A whole number, brought into the range of int; other types are refused.</summary>
    public int Integer(Value? value, int fallback)
    {
        if (value is null or None)
            return fallback;
        return Number.IsInteger(value, out var number)
            ? (int)BigInteger.Clamp(number, int.MinValue, int.MaxValue)
            : throw new TemplateFault($"{name}(): '{value.TypeName}' object cannot be interpreted as an integer");
    }

    public string String(Value? value, string fallback) => value switch
    {
        null => fallback,
        Text text => text.Value,
        Undefined undefined => throw new TemplateFault(undefined.Message),
        _ => throw new TemplateFault($"{name}() needs a string, not '{value.TypeName}'"),
    };

    public static bool Flag(Value? value, bool fallback) => value?.IsTrue ?? fallback;
}
