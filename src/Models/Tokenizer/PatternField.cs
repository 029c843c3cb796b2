using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Models.Tokenizer;

/// <summary>Patterns as <c>tokenizer.json</c> writes them: <c>{"String": …}</c> or <c>{"Regex": …}</c>.</summary>
static class PatternField
{
    public static Pattern Read(Field field)
    {
        var literal = field.Find("String");
        if (field.Find("Regex") is not { } expression)
            return literal is { } text ? Pattern.Literal(text.Text()) : throw field.Wrong("{\"String\": …} or {\"Regex\": …}");
        try
        {
            return Pattern.Parse(expression.Text());
        }
        catch (ModelException e)
        {
            throw new ModelException($"{field.Place}: {e.Message}", e);
        }
    }
}
