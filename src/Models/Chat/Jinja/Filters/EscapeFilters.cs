using System.Text;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>Text for HTML and for addresses.</summary>
static class EscapeFilters
{
    public static Value Escape(Value input, Arguments a)
    {
        a.Bind(0);
        var result = new Writer(a.Budget);
        foreach (var c in input.Str(a.Budget))
            result.Append(c switch
            {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&#34;",
                '\'' => "&#39;",
                _ => c.ToString(),
            });
        return new Text(result.ToString());
    }

    /// <summary>RFC 3986 percent encoding of UTF-8; a mapping or pairs become a query.</summary>
    public static Value UrlEncode(Value input, Arguments a)
    {
        a.Bind(0);
        var result = new Writer(a.Budget);
        if (input is Text || input.Items is null)
            Encode(input.Str(a.Budget), "/", result);
        else
            Query(input, result);
        return new Text(result.ToString());
    }

    static void Query(Value input, Writer result)
    {
        var budget = result.Budget;
        var pairs = input is DictValue dict
            ? dict.Entries.Select(entry => (entry.Key, entry.Value))
            : Membership.Iterate(input, budget).Select(item => Membership.ToArray(item, budget) is [var key, var value]
                ? (key, value)
                : throw new TemplateFault("urlencode needs pairs"));
        var separator = "";
        foreach (var (key, value) in pairs)
        {
            result.Append(separator);
            Encode(key.Str(budget), "", result);
            result.Append('=');
            Encode(value.Str(budget), "", result);
            separator = "&";
        }
    }

    static void Encode(string text, string safe, Writer result)
    {
        result.Budget.Text(text.Length * 3L); // the bytes
        foreach (var unit in Encoding.UTF8.GetBytes(text))
        {
            var c = (char)unit;
            if (char.IsAsciiLetterOrDigit(c) || "_.-~".Contains(c) || safe.Contains(c))
                result.Append(c);
            else
                result.Append(c == ' ' && safe.Length == 0 ? "+" : $"%{unit:X2}");
        }
    }
}
