namespace Nibble.Models.Chat.Jinja;

/// <summary>A template or its values are wrong. <see cref="JinjaTemplate"/> turns it into a <see cref="ModelException"/> that
/// names the template and the line.</summary>
/// <param name="line">Counted from 1; null while rendering, where the interpreter knows it.</param>
sealed class TemplateFault(string message, int? line = null) : Exception(message)
{
    public int? Line { get; } = line;
}
