using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>Every match of a pattern becomes the content; its offsets are those of the last code point it replaces.</summary>
sealed class Replace(Pattern pattern, string content) : Normalizer
{
    readonly int[] content = Text.Of(content).Points.ToArray();

    public override Text Apply(Text text)
    {
        var matches = new List<(int Start, int End)>();
        pattern.Find(text.Points, matches);
        if (matches.Count == 0 || text.Length == 0)
            return text;
        if ((long)matches.Count * content.Length > Tokenizer.LongestText - text.Length)
            throw new ModelException($"The normalizer makes more than {Tokenizer.LongestText} code points of {text.Length}.");
        var result = new Text(text.Aligned, text.Length);
        var done = 0;
        foreach (var (start, end) in matches)
        {
            result.Add(text, done, start);
            foreach (var point in content)
                if (end > 0)
                    result.Add(point, text, end - 1);
                else
                    result.Add(point, text.StartOf(0), text.StartOf(0)); // an empty match before everything
            done = end;
        }
        result.Add(text, done, text.Length);
        return result;
    }
}
