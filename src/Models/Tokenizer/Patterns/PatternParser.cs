using System.Globalization;

namespace Nibble.Models.Tokenizer.Patterns;

/// <summary>Reads the part of Oniguruma's syntax (RE, version 6.9) that published tokenizers use.</summary>
/// <remarks>
/// Alternatives, groups of every kind that does not look behind, (?i), classes with nesting and intersection, properties,
/// greedy, lazy and possessive repetition, anchors. Back-references, look-behind and POSIX brackets are errors.
/// </remarks>
sealed class PatternParser
{
    const int LongestSource = 10_000, DeepestNesting = 64, MostSuffixes = 8;
    const int LargestCount = 100_000; // Oniguruma's own limit

    readonly string source;
    readonly int[] points;
    int at, depth;
    bool ignoreCase;

    PatternParser(string source)
    {
        this.source = source;
        points = Text.Of(source).Points.ToArray();
    }

    public static Node Parse(string source)
    {
        var parser = new PatternParser(source);
        if (source.Length > LongestSource)
            throw parser.Error($"more than {LongestSource} characters");
        var node = parser.Choice();
        return parser.at == parser.points.Length ? node : throw parser.Error("an unmatched )");
    }

    Node Choice()
    {
        if (++depth > DeepestNesting)
            throw Error($"more than {DeepestNesting} nested groups");
        var options = new List<Node> { Sequence() };
        while (Accept('|'))
            options.Add(Sequence());
        depth--;
        return options.Count == 1 ? options[0] : new ChoiceNode([.. options]);
    }

    SequenceNode Sequence()
    {
        var parts = new List<Node>();
        while (Peek() is >= 0 and not '|' and not ')')
            if (Atom() is { } atom)
                parts.Add(Repeated(atom));
        return new SequenceNode([.. parts]);
    }

    Node? Atom() => Take() switch
    {
        '(' => Group(),
        '[' => Set(Class()),
        '.' => Set(CharacterSet.Newline.Except()),
        '^' => new AnchorNode(Anchor.LineStart),
        '$' => new AnchorNode(Anchor.LineEnd),
        '\\' => Escape(),
        '*' or '+' or '?' => throw Error("a repetition of nothing"),
        var point => Set(CharacterSet.Range(point, point)),
    };

    Node? Group()
    {
        if (!Accept('?'))
            return Closed(Choice());
        switch (Take())
        {
            case ':': return Closed(Choice());
            case '=': return Closed(new LookAheadNode(Choice(), Negative: false));
            case '!': return Closed(new LookAheadNode(Choice(), Negative: true));
            case '>': return Closed(new AtomicNode(Choice()));
            case '#':
                while (Take() != ')') { }
                return null;
            case '<' when Peek() is not ('=' or '!'):
                while (Take() != '>') { }
                return Closed(Choice());
            case 'i': return Option(ignore: true);
            case '-' when Accept('i'): return Option(ignore: false);
            default: throw Error("a kind of group that is not supported");
        }
    }

    /// <summary><c>(?i:…)</c> for its own content, <c>(?i)</c> only at the start, where every dialect reads it alike.</summary>
    Node? Option(bool ignore)
    {
        var outer = ignoreCase;
        ignoreCase = ignore;
        if (at == "(?i".Length && Accept(')'))
            return null;
        if (!Accept(':'))
            throw Error("an option other than (?i:…)");
        var body = Choice();
        ignoreCase = outer;
        return Closed(body);
    }

    Node Closed(Node node) => Accept(')') ? node : throw Error("a ( without its )");

    Node Repeated(Node node)
    {
        for (var suffixes = 0; ; suffixes++)
        {
            if (suffixes > MostSuffixes)
                throw Error("too many repetitions of repetitions");
            if (Accept('?'))
                node = Suffixed(node, 0, 1);
            else if (Accept('*'))
                node = Suffixed(node, 0, RepeatNode.Unbounded);
            else if (Accept('+'))
                node = Suffixed(node, 1, RepeatNode.Unbounded);
            else if (Interval() is var (least, most))
                // {n,m}+ is a repetition repeated, not possessive; {n}? is an optional {n}, not lazy
                node = least == most || !Accept('?') ? new RepeatNode(node, least, most, Greed.Greedy)
                    : new RepeatNode(node, least, most, Greed.Lazy);
            else
                return node;
        }
    }

    RepeatNode Suffixed(Node node, int least, int most)
    {
        var greed = Accept('?') ? Greed.Lazy : Accept('+') ? Greed.Possessive : Greed.Greedy;
        return new RepeatNode(node, least, most, greed);
    }

    /// <summary><c>{n}</c>, <c>{n,}</c>, <c>{n,m}</c> or <c>{,m}</c>; anything else leaves the brace a plain character.</summary>
    (int Least, int Most)? Interval()
    {
        var start = at;
        if (!Accept('{'))
            return null;
        var least = Count();
        var most = Accept(',') ? Count() ?? (least is null ? null : RepeatNode.Unbounded) : least;
        if (most is null || !Accept('}'))
        {
            at = start;
            return null;
        }
        if (least > most)
            throw Error("an interval whose bounds are in the wrong order");
        return (least ?? 0, most.Value);
    }

    int? Count()
    {
        int? count = null;
        while (Peek() is >= '0' and <= '9')
            if ((count = 10 * (count ?? 0) + Take() - '0') > LargestCount)
                throw Error($"a repetition count above {LargestCount}");
        return count;
    }

    Node Escape() => Peek() switch
    {
        'A' => Anchored(Anchor.TextStart),
        'z' => Anchored(Anchor.TextEnd),
        'Z' => Anchored(Anchor.TextEndOrLastNewline),
        _ => Set(EscapedSet() ?? Single(EscapedPoint())),
    };

    AnchorNode Anchored(Anchor anchor)
    {
        Take();
        return new AnchorNode(anchor);
    }

    SetNode Set(CharacterSet set) => new(ignoreCase ? set.IgnoringCase() : set);

    static CharacterSet Single(int point) => CharacterSet.Range(point, point);

    /// <summary>After <c>[</c>: a class to its <c>]</c>.</summary>
    CharacterSet Class()
    {
        if (++depth > DeepestNesting)
            throw Error($"more than {DeepestNesting} nested classes");
        var negated = Accept('^');
        CharacterSet? intersection = null;
        var sets = new List<CharacterSet>();
        while (true)
        {
            if (Accept(']'))
                break;
            if (Peek() == '&' && PeekSecond() == '&')
            {
                at += 2;
                intersection = Intersected();
                sets.Clear();
            }
            else
                sets.Add(ClassItem());
        }
        depth--;
        var set = Intersected();
        // the case of a negated class is folded before it is negated: (?i:[^s]) holds neither s nor S
        return negated ? (ignoreCase ? set.IgnoringCase() : set).Except() : set;

        CharacterSet Intersected()
        {
            if (sets.Count == 0)
                throw Error("an empty class");
            var union = CharacterSet.Union([.. sets]);
            return intersection is null ? union : intersection.And(union);
        }
    }

    CharacterSet ClassItem()
    {
        var first = Take();
        if (first == '[')
            return Peek() != ':' ? Class() : throw Error("a POSIX bracket");
        if (first == '\\')
        {
            if (EscapedSet() is { } set)
                return set;
            first = EscapedPoint();
        }
        if (Peek() != '-' || PeekSecond() is ']' or < 0)
            return Single(first);
        Take();
        var last = Take();
        if (last == '\\')
            last = EscapedPoint();
        else if (last == '[')
            throw Error("a range that ends in a class");
        return first <= last ? CharacterSet.Range(first, last) : throw Error("a range whose ends are in the wrong order");
    }

    /// <summary>After a backslash: the set it names, or null (and nothing taken) when it names one code point.</summary>
    CharacterSet? EscapedSet()
    {
        switch (Peek())
        {
            case 's': Take(); return CharacterSet.Space;
            case 'S': Take(); return CharacterSet.Space.Except();
            case 'd': Take(); return CharacterSet.Digit;
            case 'D': Take(); return CharacterSet.Digit.Except();
            case 'w': Take(); return CharacterSet.Word;
            case 'W': Take(); return CharacterSet.Word.Except();
            case 'h': Take(); return CharacterSet.Hexadecimal;
            case 'H': Take(); return CharacterSet.Hexadecimal.Except();
            case 'p': Take(); return Property(negated: false);
            case 'P': Take(); return Property(negated: true);
            default: return null;
        }
    }

    CharacterSet Property(bool negated)
    {
        if (!Accept('{'))
            throw Error("\\p without a name in braces");
        negated ^= Accept('^');
        var name = new System.Text.StringBuilder();
        for (var point = Take(); point != '}'; point = Take())
            if (point is not ('_' or '-' or ' ')) // ignored in names
                name.Append(new System.Text.Rune(point));
        var set = CharacterSet.Property(name.ToString())
            ?? throw Error($"the property {name}, known are the general categories and Han");
        return negated ? set.Except() : set;
    }

    int EscapedPoint()
    {
        var point = Take();
        return point switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\f',
            'v' => '\v',
            'a' => '\a',
            'e' => 0x1B,
            'u' => Hexadecimal(4, 4),
            'x' when Accept('{') => Braced(),
            'x' => Hexadecimal(1, 2),
            < 128 when char.IsAsciiLetterOrDigit((char)point) => throw Error($"the escape \\{(char)point}"),
            _ => point,
        };
    }

    int Braced()
    {
        var point = Hexadecimal(1, 6);
        return Accept('}') ? point : throw Error("\\x{ without its }");
    }

    int Hexadecimal(int least, int most)
    {
        var start = at;
        while (at - start < most && Peek() is >= 0 and < 128 and var c && char.IsAsciiHexDigit((char)c))
            at++;
        if (at - start < least)
            throw Error("too few hexadecimal digits");
        var digits = string.Concat(points[start..at].Select(point => (char)point));
        var value = int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return System.Text.Rune.IsValid(value) ? value : throw Error($"{digits}, which is no code point");
    }

    int Peek() => at < points.Length ? points[at] : -1;

    int PeekSecond() => at + 1 < points.Length ? points[at + 1] : -1;

    int Take() => at < points.Length ? points[at++] : throw Error("an end in the middle");

    bool Accept(int point)
    {
        if (Peek() != point)
            return false;
        at++;
        return true;
    }

    ModelException Error(string what) =>
        new($"The pattern {(source.Length <= 100 ? source : source[..100] + "…")} has {what} (at code point {at}).");
}
