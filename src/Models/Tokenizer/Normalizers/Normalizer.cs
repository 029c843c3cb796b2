namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>Rewrites a text before it is cut: the <c>normalizer</c> of <c>tokenizer.json</c>.</summary>
abstract class Normalizer
{
    const string Supported = "NFC, Lowercase, Replace, Prepend, ByteLevel, Sequence";

    /// <summary>The text itself when nothing changes.</summary>
    public abstract Text Apply(Text text);

    public static Normalizer? Read(Field? field)
    {
        if (field is not { } found)
            return null;
        var type = found["type"].Text();
        return type switch
        {
            "NFC" => new Nfc(),
            "Lowercase" => new Lowercase(),
            "Replace" => new Replace(PatternField.Read(found["pattern"]), found["content"].Text()),
            "Prepend" => new Prepend(found["prepend"].Text()),
            "ByteLevel" => new ByteLevel(),
            "Sequence" => new Sequence([.. found["normalizers"].Items().Select(item => Read(item)).OfType<Normalizer>()]),
            _ => throw found.Unsupported("normalizer", type, Supported),
        };
    }

    sealed class Sequence(Normalizer[] parts) : Normalizer
    {
        public override Text Apply(Text text) => parts.Aggregate(text, (current, part) => part.Apply(current));
    }

    /// <summary>Bytes as letters; see <see cref="ByteLetters"/>.</summary>
    sealed class ByteLevel : Normalizer
    {
        public override Text Apply(Text text)
        {
            var bytes = new Text(text.Aligned, text.Length);
            ByteLetters.Spell(text, 0, text.Length, bytes);
            return bytes;
        }
    }
}
