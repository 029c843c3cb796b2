using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Text filled up to a width in code points.</summary>
static class Padding
{
    public static Text Left(Text self, Arguments arguments)
    {
        var (missing, fill) = Missing(self, arguments);
        return Fill(self, 0, missing, fill, arguments.Budget);
    }

    public static Text Right(Text self, Arguments arguments)
    {
        var (missing, fill) = Missing(self, arguments);
        return Fill(self, missing, 0, fill, arguments.Budget);
    }

    public static Text Center(Text self, Arguments arguments)
    {
        var (missing, fill) = Missing(self, arguments);
        return Center(self, missing, fill, arguments.Budget);
    }

    /// <summary>Where the fill is odd, the extra one goes left when the width is odd, too, as in Python.</summary>
    public static Text Center(Text self, int missing, string fill, Budget budget)
    {
        var left = missing / 2 + (missing & (missing + self.Count) & 1);
        return Fill(self, left, missing - left, fill, budget);
    }

    /// <summary>Zeros behind the sign.</summary>
    public static Text Zeros(Text self, Arguments arguments)
    {
        var width = arguments.Integer(arguments.Bind(1, "width")[0], 0);
        var missing = Math.Max(width - self.Count, 0);
        arguments.Budget.Text((long)self.Value.Length + missing);
        var sign = self.Value.StartsWith('-') || self.Value.StartsWith('+') ? 1 : 0;
        return new(self.Value.Insert(sign, new string('0', missing)));
    }

    static (int Missing, string Fill) Missing(Text self, Arguments arguments)
    {
        var bound = arguments.Bind(1, "width", "fillchar");
        var fill = arguments.String(bound[1], " ");
        if (new Text(fill).Count != 1)
            throw new TemplateFault("The fill character must be exactly one character long");
        return (Math.Max(arguments.Integer(bound[0], 0) - self.Count, 0), fill);
    }

    static Text Fill(Text self, int left, int right, string fill, Budget budget)
    {
        budget.Text(self.Value.Length + ((long)left + right) * fill.Length);
        return new(string.Concat(Enumerable.Repeat(fill, left)) + self.Value + string.Concat(Enumerable.Repeat(fill, right)));
    }
}
