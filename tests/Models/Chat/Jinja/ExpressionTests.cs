using System.Text.Json;
using Nibble.Models;
using Nibble.Models.Chat.Jinja;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Tests.Models.Chat.Jinja;

public class ExpressionTests
{
    /// <summary>What chat templates have no use for.</summary>
    static readonly Dictionary<string, string> LeftOut = new()
    {
        ["|striptags"] = "a filter for HTML",
        ["|xmlattr"] = "a filter for HTML",
        ["autoescape"] = "escaping for HTML",
        ["is escaped"] = "escaping for HTML",
        ["|wordwrap"] = "a filter for pages of fixed width",
        ["|filesizeformat"] = "a filter for listings",
        ["|pprint"] = "a filter for debugging",
        ["|random"] = "a prompt has to be reproducible",
        ["lipsum"] = "random filler text",
        ["{{ self }}"] = "blocks of inherited templates",
        [".encode("] = "bytes: no filter takes them",
    };

    [Theory]
    [InlineData("expressions.json")]
    [InlineData("more_expressions.json")]
    public void Every_recorded_expression_gives_what_jinja_gave(string file)
    {
        var recorded = ChatFixtures.Read(file);
        var variables = recorded.GetProperty("variables").EnumerateObject()
            .ToDictionary(property => property.Name, property => JsonValues.Read(property.Value));
        var wrong = new List<string>();
        var count = 0;
        foreach (var item in recorded.GetProperty("cases").EnumerateArray())
            if (!LeftOut.Keys.Any(item.GetProperty("template").GetString()!.Contains))
            {
                count++;
                if (Difference(item, variables, exactErrors: file == "expressions.json") is { } difference)
                    wrong.Add(difference);
            }

        Assert.True(count > 300, $"only {count} cases");
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {count}:\n{string.Join("\n", wrong)}");
    }

    static string? Difference(JsonElement item, Dictionary<string, Value> variables, bool exactErrors)
    {
        var source = item.GetProperty("template").GetString()!;
        var expected = item.TryGetProperty("text", out var text) ? text.GetString() : null;
        try
        {
            var actual = JinjaTemplate.Parse(source, "t").Render(variables, ChatFixtures.Now).Text;
            return actual == expected
                ? null
                : $"{source}\n  expected {expected ?? item.GetProperty("error").GetString()}\n  found    {actual}";
        }
        catch (ModelException error)
        {
            if (expected is not null)
                return $"{source}\n  expected {expected}\n  failed   {error.Message}";
            // Syntax errors are in our words, and so is that nothing is loaded.
            var isOurs = item.GetProperty("error").GetString() is "TemplateSyntaxError" || source.Contains("{% i");
            return !exactErrors || isOurs || error.Message.EndsWith(item.GetProperty("message").GetString()!)
                ? null
                : $"{source}\n  expected {item.GetProperty("message").GetString()}\n  failed   {error.Message}";
        }
    }
}
