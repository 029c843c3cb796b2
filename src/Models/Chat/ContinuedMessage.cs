using Nibble.Models.Chat.Jinja;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat;

/// <summary>A conversation whose last message is left open: a mark behind its text shows where the rendered page ends.</summary>
/// <remarks>The space at the end of the mark tells whether the template trims messages; then the page is trimmed, too.</remarks>
sealed class ContinuedMessage
{
    const string Mark = "[continue-this-final-message]";

    readonly string origin, text;

    ContinuedMessage(string origin, string text, ListValue messages) =>
        (this.origin, this.text, Messages) = (origin, text, messages);

    /// <summary>The messages with the mark.</summary>
    public ListValue Messages { get; }

    public static ContinuedMessage In(ListValue messages, JinjaTemplate template)
    {
        if (messages.Values is not [.., DictValue last] || !last.TryGet("content", out var content) || !content.IsTrue)
            throw new ModelException($"{template.Origin}: the final message has no content to continue.");
        if (!template.Source.Contains("content", StringComparison.Ordinal))
            throw new ModelException(
                $"{template.Origin}: the template never reads a message's content, so no message can be continued.");

        var budget = new Budget();
        var (text, marked) = content switch
        {
            Text plain => (plain.Value, Marked(plain)),
            ListValue parts => InParts(parts, budget),
            _ => (null, content),
        };
        if (text is null)
            throw new ModelException($"{template.Origin}: the final message has no text to continue.");
        return new(template.Origin, text, new([.. messages.Values.SkipLast(1), last.With("content", marked, budget)]));
    }

    /// <summary>The page up to the mark.</summary>
    public ChatText Cut(string page, IReadOnlyList<TextSpan> generated)
    {
        var end = page.LastIndexOf(Mark, StringComparison.Ordinal);
        if (end < 0 || !page.Contains(Whitespace.Trim(text), StringComparison.Ordinal))
            throw new ModelException(
                $"{origin}: the final message does not appear in the rendered conversation, so it cannot be continued.");

        var kept = page[..end];
        if (end + Mark.Length == page.Length || page[end + Mark.Length] != ' ')
            kept = kept[..Whitespace.TrimmedEnd(kept)];
        return new(kept, [.. generated.Where(span => span.Start < kept.Length)
            .Select(span => span with { Length = Math.Min(span.Length, kept.Length - span.Start) })]);
    }

    static Text Marked(Text text) => new(text.Value + Mark + " ");

    /// <summary>The last part with a text is continued.</summary>
    static (string? Text, Value Parts) InParts(ListValue parts, Budget budget)
    {
        for (var i = parts.Values.Count - 1; i >= 0; i--)
            if (parts.Values[i] is DictValue part && part.TryGet("text", out var value) && value is Text text)
            {
                Value[] changed = [.. parts.Values];
                changed[i] = part.With("text", Marked(text), budget);
                return (text.Value, new ListValue(changed));
            }

        return (null, parts);
    }
}
