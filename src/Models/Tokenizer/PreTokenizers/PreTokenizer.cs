using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Models.Tokenizer.PreTokenizers;

/// <summary>A text and the pieces it is cut into; what lies in no piece is dropped.</summary>
sealed record Pieces(Text Text, List<(int Start, int End)> Ranges);

/// <summary>Cuts a text into pieces that are merged each by itself: the <c>pre_tokenizer</c> of the file.</summary>
abstract class PreTokenizer
{
    const string Supported = "ByteLevel, Split, Digits, Sequence";

    /// <summary>Pieces of pieces; none is empty.</summary>
    public abstract Pieces Cut(Pieces pieces);

    public static PreTokenizer? Read(Field? field)
    {
        if (field is not { } found)
            return null;
        var type = found["type"].Text();
        return type switch
        {
            "ByteLevel" => new ByteLevel(found.Flag("add_prefix_space", true), found.Flag("use_regex", true)),
            "Split" => new Split(
                PatternField.Read(found["pattern"]), Split.ReadBehavior(found["behavior"]), found.Flag("invert", false)),
            "Digits" => new Split(Pattern.Parse("\\p{N}"),
                found.Flag("individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous, invert: false),
            "Sequence" => new Sequence([.. found["pretokenizers"].Items().Select(item => Read(item)).OfType<PreTokenizer>()]),
            _ => throw found.Unsupported("pre-tokenizer", type, Supported),
        };
    }

    sealed class Sequence(PreTokenizer[] parts) : PreTokenizer
    {
        public override Pieces Cut(Pieces pieces) => parts.Aggregate(pieces, (current, part) => part.Cut(current));
    }
}
