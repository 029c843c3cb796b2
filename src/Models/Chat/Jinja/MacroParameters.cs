using Nibble.Models.Chat.Jinja.Syntax;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>The arguments of a macro's call as names in its scope.</summary>
static class MacroParameters
{
    /// <param name="evaluate">A default value, which may use the parameters.</param>
    public static void Set(Signature signature, Arguments arguments, Scope scope, Func<Expression, Value> evaluate)
    {
        var parameters = signature.Parameters;
        var given = new Dictionary<string, Value>();
        for (var i = 0; i < arguments.Positional.Count && i < parameters.Count; i++)
            given[parameters[i].Name] = arguments.Positional[i];

        var others = new List<(Value, Value)>();
        foreach (var (name, value) in arguments.Keywords)
            if (!parameters.Any(parameter => parameter.Name == name))
                others.Add((new Text(name), value));
            else if (!given.TryAdd(name, value))
                throw new TemplateFault($"macro '{signature.Name}' got multiple values for argument '{name}'");

        SetRest(signature, arguments, scope, others);
        foreach (var (name, value) in given)
            scope.Set(name, value);
        foreach (var (name, value) in parameters)
            if (!given.ContainsKey(name))
                scope.Set(name, value is not null ? evaluate(value) : new Undefined($"parameter '{name}' was not provided"));
    }

    /// <summary><c>caller</c>, <c>varargs</c> and <c>kwargs</c>, for bodies that mention them.</summary>
    static void SetRest(Signature signature, Arguments arguments, Scope scope, List<(Value Key, Value Value)> others)
    {
        if (signature.TakesCaller)
        {
            var caller = others.FindIndex(pair => pair.Key is Text { Value: "caller" });
            scope.Set("caller", caller >= 0 ? others[caller].Value : new Undefined("No caller defined"));
            if (caller >= 0)
                others.RemoveAt(caller);
        }

        if (signature.TakesPositional)
            scope.Set("varargs", new TupleValue([.. arguments.Positional.Skip(signature.Parameters.Count)]));
        else if (arguments.Positional.Count > signature.Parameters.Count)
            throw new TemplateFault($"macro '{signature.Name}' takes not more than {signature.Parameters.Count} argument(s)");

        if (signature.TakesKeywords)
            scope.Set("kwargs", new DictValue(others, arguments.Budget));
        else if (others is [(Text other, _), ..])
            throw new TemplateFault($"macro '{signature.Name}' takes no keyword argument '{other.Value}'");
    }
}
