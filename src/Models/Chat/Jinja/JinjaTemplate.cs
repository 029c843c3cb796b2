using Nibble.Models.Chat.Jinja.Syntax;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>A template in the language of Jinja 3.1, as far as chat templates use it, in a sandbox: it reaches only the values
/// it is
/// given, changes none of them, and stays within <see cref="Limits"/>.</summary>
sealed class JinjaTemplate
{
    readonly Body body;

    JinjaTemplate(string source, string origin, Body body) => (Source, Origin, this.body) = (source, origin, body);

    public string Source { get; }

    /// <summary>The file the template comes from, for messages.</summary>
    public string Origin { get; }

    /// <exception cref="ModelException">A syntax error, with its line.</exception>
    public static JinjaTemplate Parse(string source, string origin)
    {
        try
        {
            return new(source, origin, Parser.Parse(source));
        }
        catch (TemplateFault fault)
        {
            throw new ModelException($"{origin}, line {fault.Line ?? 1}: {fault.Message}");
        }
    }

    /// <exception cref="ModelException">The template fails on these values, or refuses them itself.</exception>
    public (string Text, IReadOnlyList<TextSpan> Generated) Render(
        IEnumerable<KeyValuePair<string, Value>> variables, DateTime now)
    {
        var interpreter = new Interpreter(new Budget());
        try
        {
            var scope = new Scope(Globals.Create(now));
            foreach (var (name, value) in variables)
                scope.Set(name, value);
            return (interpreter.Render(body, scope), interpreter.Generated);
        }
        catch (TemplateFault fault)
        {
            throw new ModelException($"{Origin}, line {fault.Line ?? interpreter.Line}: {fault.Message}");
        }
    }
}
