using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>str.replace(old, new, count).</summary>
static class Replacing
{
    public static Text Apply(Text self, Arguments arguments)
    {
        var bound = arguments.Bind(2, "old", "new", "count");
        var limit = arguments.Integer(bound[2], -1);
        return Apply(self, arguments.String(bound[0], ""), arguments.String(bound[1], ""), limit, arguments.Budget);
    }

    /// <param name="limit">Negative: every occurrence.</param>
    public static Text Apply(Text self, string old, string replacement, int limit, Budget budget)
    {
        if (limit < 0)
            limit = int.MaxValue;
        if (old.Length == 0)
            return Between(self, replacement, limit, budget);

        var text = self.Value;
        budget.Search(text.Length, old.Length);
        var result = new Writer(budget);
        var start = 0;
        for (var count = 0; count < limit && text.IndexOf(old, start, StringComparison.Ordinal) is >= 0 and var at; count++)
        {
            budget.Step();
            result.Append(text[start..at]).Append(replacement);
            start = at + old.Length;
        }

        return new(result.Append(text[start..]).ToString());
    }

    /// <summary>Nothing is replaced: the replacement goes before every code point and behind the last.</summary>
    static Text Between(Text self, string replacement, int limit, Budget budget)
    {
        var result = new Writer(budget);
        for (var i = 0; i <= self.Count; i++)
        {
            budget.Step();
            if (i < limit)
                result.Append(replacement);
            if (i < self.Count)
                result.Append(self.At(i));
        }

        return new(result.ToString());
    }
}
