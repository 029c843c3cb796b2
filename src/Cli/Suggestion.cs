namespace Nibble.Cli;

/// <summary>Did-you-mean.</summary>
static class Suggestion
{
    /// <summary>The nearest known word if one is near, else all of them.</summary>
    public static string For(string word, IEnumerable<string> known)
    {
        var all = known.ToList();
        return Nearest(word, all) is { } nearest ? $"did you mean '{nearest}'?" : $"known: {string.Join(", ", all)}.";
    }

    /// <summary>The known word that differs by at most a third of its letters, or null.</summary>
    public static string? Nearest(string word, IEnumerable<string> known) => known
        .Select(candidate => (candidate, distance: Distance(word.ToLowerInvariant(), candidate.ToLowerInvariant())))
        .Where(pair => pair.distance <= Math.Max(1, Math.Max(word.Length, pair.candidate.Length) / 3))
        .OrderBy(pair => pair.distance).Select(pair => pair.candidate).FirstOrDefault();

    /// <summary>Insertions, deletions and substitutions (Levenshtein).</summary>
    internal static int Distance(string from, string to)
    {
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0]++;
            for (var j = 1; j <= to.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
