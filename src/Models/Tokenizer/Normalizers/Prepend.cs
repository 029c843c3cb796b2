namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>Puts a text before every text that is not empty; its offsets are those of the first code point.</summary>
sealed class Prepend(string prefix) : Normalizer
{
    readonly int[] prefix = Text.Of(prefix).Points.ToArray();

    public override Text Apply(Text text)
    {
        if (text.Length == 0)
            return text;
        var longer = new Text(text.Aligned, prefix.Length + text.Length);
        foreach (var point in prefix)
            longer.Add(point, text, 0);
        longer.Add(text, 0, text.Length);
        return longer;
    }
}
