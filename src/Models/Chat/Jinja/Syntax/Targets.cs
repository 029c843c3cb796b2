namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>Names on the left of an assignment or behind <c>for</c>.</summary>
static class Targets
{
    static readonly HashSet<string> Constants = ["true", "false", "none", "True", "False", "None"];

    /// <param name="withNamespace"><c>ns.name</c> is allowed.</param>
    /// <param name="endsBefore">A name that ends a list.</param>
    /// <param name="single">No list without parentheses.</param>
    public static Target Parse(TokenStream tokens, bool withNamespace, string? endsBefore = null, bool single = false)
    {
        var first = One(tokens, withNamespace);
        if (single || !tokens.Current.Is(","))
            return first;

        var items = new List<Target> { first };
        while (tokens.Skip(","))
        {
            if (tokens.Current.Is("=") || endsBefore is not null && tokens.Current.IsName(endsBefore))
                break;
            items.Add(One(tokens, withNamespace));
        }

        return new TupleTarget(items);
    }

    static Target One(TokenStream tokens, bool withNamespace)
    {
        if (tokens.Skip("("))
        {
            tokens.Enter();
            var inner = Parse(tokens, withNamespace);
            tokens.Leave();
            tokens.Expect(")");
            return inner;
        }

        var name = tokens.ExpectName();
        if (Constants.Contains(name))
            throw tokens.Fault($"can't assign to '{name}'");
        return withNamespace && tokens.Skip(".") ? new NamespaceTarget(name, tokens.ExpectName()) : new NameTarget(name);
    }
}
