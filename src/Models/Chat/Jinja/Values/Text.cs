using System.Numerics;
using System.Text;
using Nibble.Models.Chat.Jinja.Strings;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>str: a sequence of code points. Lengths, indices and slices count code points, not UTF-16 units.</summary>
sealed class Text : Value
{
    readonly int[]? starts; // UTF-16 offset of each code point; null when every code point is one unit

    public Text(string value)
    {
        Value = value;
        if (value.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            starts = Offsets(value);
    }

    public string Value { get; }

    public override string TypeName => "str";
    public override bool IsTrue => Value.Length > 0;
    public override int? Length => Count;

    /// <summary>Code points.</summary>
    public int Count => starts?.Length ?? Value.Length;

    public override IEnumerable<Value> Items => Enumerable.Range(0, Count).Select(i => new Text(At(i)));

    public string At(int index) => Between(index, index + 1);

    /// <summary>Code points [start, stop).</summary>
    public string Between(int start, int stop) => Value[Offset(start)..Offset(stop)];

    /// <summary>Where a code point begins, in UTF-16 units.</summary>
    public int Offset(int index) => starts is null ? index : index == starts.Length ? Value.Length : starts[index];

    /// <summary>The code point that begins at a UTF-16 offset.</summary>
    public int IndexOf(int offset)
    {
        if (starts is null)
            return offset;
        var found = Array.BinarySearch(starts, offset);
        return found >= 0 ? found : ~found;
    }

    public override Value? Attribute(string name) => StringMethods.Find(this, name);

    public override Value? Item(Value key, Budget budget) =>
        Sequence.Index(key, Count) is { } index ? new Text(At(index)) : null;

    public override void Print(Writer to) => to.Append(Value);

    public override void Repr(Writer to)
    {
        var quote = Value.Contains('\'') && !Value.Contains('"') ? '"' : '\'';
        to.Append(quote);
        foreach (var rune in Value.EnumerateRunes())
            to.Append(rune.Value == quote || rune.Value == '\\' ? $"\\{rune}" : Character(rune));
        to.Append(quote);
    }

    static string Character(Rune rune) => rune.Value switch
    {
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ when CharacterClass.IsPrintable(rune) => rune.ToString(),
        <= 0xFF => $"\\x{rune.Value:x2}",
        <= 0xFFFF => $"\\u{rune.Value:x4}",
        _ => $"\\U{rune.Value:x8}",
    };

    static int[] Offsets(string value)
    {
        var offsets = new List<int>(value.Length);
        for (var i = 0; i < value.Length; i += i + 1 < value.Length && char.IsSurrogatePair(value, i) ? 2 : 1)
            offsets.Add(i);
        return [.. offsets];
    }
}
