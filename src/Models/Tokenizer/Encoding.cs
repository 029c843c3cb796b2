namespace Nibble.Models.Tokenizer;

/// <summary>The tokens of a text and where each came from.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Offsets">
/// One range per token, in Unicode code points of the text (not UTF-16 units, not bytes), end exclusive. Tokens of parts of one
/// code point share its range; a special token the text does not contain has (0, 0).
/// </param>
public sealed record Encoding(int[] Ids, (int Start, int End)[] Offsets);

/// <summary>An encoding in the making; offsets only where they are wanted.</summary>
sealed record Tokens(List<int> Ids, List<(int Start, int End)>? Offsets);
