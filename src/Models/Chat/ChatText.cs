namespace Nibble.Models.Chat;

/// <summary>A rendered conversation.</summary>
/// <param name="Generated">What the model itself writes, where the template marks it with <c>{% generation %}</c>.</param>
public sealed record ChatText(string Text, IReadOnlyList<TextSpan> Generated);
