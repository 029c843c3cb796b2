using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>JSON as template values, the way Python reads it: whole numbers stay whole, objects keep their order.</summary>
static class JsonValues
{
    public static Value Read(JsonElement element)
    {
        try
        {
            return Read(element, new Budget());
        }
        catch (InvalidOperationException broken) // half a surrogate pair, which is no text in .NET
        {
            throw new TemplateFault("a JSON string holds half a surrogate pair: " + broken.Message);
        }
    }

    static Value Read(JsonElement element, Budget budget)
    {
        budget.Step();
        Budget.Stack();
        return element.ValueKind switch
        {
            JsonValueKind.String => new Text(element.GetString()!),
            JsonValueKind.True => Bool.True,
            JsonValueKind.False => Bool.False,
            JsonValueKind.Null => None.Value,
            JsonValueKind.Number => Number(element.GetRawText()),
            JsonValueKind.Array => new ListValue([.. element.EnumerateArray().Select(item => Read(item, budget))]),
            JsonValueKind.Object => new DictValue(element.EnumerateObject()
                .Select(property => ((Value)new Text(property.Name), Read(property.Value, budget))), budget),
            _ => throw new TemplateFault("a JSON value is missing"),
        };
    }

    static Value Number(string text)
    {
        if (text.AsSpan().IndexOfAny('.', 'e', 'E') >= 0)
            return new Float(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));
        return text.Length <= Limits.IntegerBits / 4
            ? Integer.Checked(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture))
            : throw new TemplateFault($"a JSON number of {text.Length} digits");
    }
}
