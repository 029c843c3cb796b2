namespace Nibble.Export.Layouts;

/// <summary>
/// The modules left unquantized, as the few patterns ModelOpt writes: for each the shortest <c>prefix*</c> (cut at a dot) that
/// hits no quantized module, else its exact name.
/// </summary>
static class ExcludePatterns
{
    /// <returns>Sorted. <c>model.layers.1*</c> appears only when layers 10 to 19 are unquantized too.</returns>
    public static IReadOnlyList<string> Of(IEnumerable<string> unquantized, IReadOnlyCollection<string> quantized)
    {
        var taken = quantized.ToHashSet();
        foreach (var name in quantized)
            for (var length = 1; length <= name.Length; length++)
                taken.Add(name[..length] + "*");

        var patterns = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var name in unquantized)
            patterns.UnionWith(Shortest(name, taken));
        return [.. patterns];
    }

    /// <summary>Whether a name is excluded: itself or a parent is listed, or a pattern with <c>*</c> fits.</summary>
    public static bool Match(IEnumerable<string> patterns, string name) => patterns.Any(pattern => Matches(pattern, name));

    static string[] Shortest(string name, HashSet<string> taken)
    {
        for (var dot = name.IndexOf('.'); dot >= 0; dot = name.IndexOf('.', dot + 1))
        {
            var prefix = name[..dot];
            if (!taken.Contains(prefix + "*"))
                return [prefix + "*"];
            if (!taken.Contains(prefix) && !taken.Contains(prefix + ".*"))
                return [prefix, prefix + ".*"];
        }
        return [name];
    }

    static bool Matches(string pattern, string name)
    {
        if (!pattern.Contains('*'))
            return name == pattern || name.StartsWith(pattern + ".", StringComparison.Ordinal);
        var parts = pattern.Split('*');
        if (!name.StartsWith(parts[0], StringComparison.Ordinal))
            return false;
        var at = parts[0].Length;
        foreach (var part in parts[1..^1])
        {
            var found = name.IndexOf(part, at, StringComparison.Ordinal);
            if (found < 0)
                return false;
            at = found + part.Length;
        }
        return name.Length - at >= parts[^1].Length && name.EndsWith(parts[^1], StringComparison.Ordinal);
    }
}
