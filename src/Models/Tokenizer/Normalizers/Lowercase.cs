using System.Text;

namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>Full lower case of each code point by itself: no final sigma, and İ becomes i with a dot above.</summary>
sealed class Lowercase : Normalizer
{
    const int CapitalDottedI = 0x130, DotAbove = 0x307;

    public override Text Apply(Text text)
    {
        var lower = new Text(text.Aligned, text.Length);
        var points = text.Points;
        for (var i = 0; i < points.Length; i++)
            if (points[i] == CapitalDottedI)
            {
                lower.Add('i', text, i);
                lower.Add(DotAbove, text, i);
            }
            else
                lower.Add(Rune.ToLowerInvariant(new Rune(points[i])).Value, text, i);
        return lower;
    }
}
