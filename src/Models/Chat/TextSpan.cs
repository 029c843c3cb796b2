namespace Nibble.Models.Chat;

/// <summary>A part of a text, in UTF-16 units.</summary>
public readonly record struct TextSpan(int Start, int Length);
