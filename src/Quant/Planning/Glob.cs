using System.Text.RegularExpressions;

namespace Nibble.Quant.Planning;

/// <summary>
/// A pattern on module names: <c>*</c> any run of characters (dots included), <c>?</c> one character, <c>[abc]</c> and <c>[!a-c]</c> one of a set;
/// with the prefix <c>re:</c> a regular expression that must match from the start of the name.
/// </summary>
public sealed class Glob
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    readonly Regex regex;

    /// <exception cref="QuantizationException">The pattern is not well formed.</exception>
    public Glob(string pattern)
    {
        Pattern = pattern;
        try
        {
            regex = pattern.StartsWith("re:", StringComparison.Ordinal)
                ? new Regex(@"\A(?:" + pattern[3..] + ")", RegexOptions.CultureInvariant, Patience)
                : new Regex(@"\A" + Translate(pattern) + @"\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (ArgumentException error)
        {
            throw new QuantizationException($"Pattern '{pattern}': {error.Message}", error);
        }
    }

    public string Pattern { get; }

    public bool Matches(string name) => regex.IsMatch(name);

    public override string ToString() => Pattern;

    static string Translate(string glob)
    {
        var text = new System.Text.StringBuilder();
        for (var i = 0; i < glob.Length; i++)
        {
            var end = glob[i] == '[' ? glob.IndexOf(']', Math.Min(i + 2, glob.Length)) : -1;
            if (end > 0)
            {
                var set = glob[(i + 1)..end];
                var negated = set[0] == '!';
                text.Append('[').Append(negated ? "^" : "").Append(Regex.Escape(set[(negated ? 1 : 0)..]).Replace("]", @"\]")).Append(']');
                i = end;
            }
            else
            {
                text.Append(glob[i] switch { '*' => @"[\s\S]*", '?' => @"[\s\S]", var other => Regex.Escape(other.ToString()) });
            }
        }
        return text.ToString();
    }
}
