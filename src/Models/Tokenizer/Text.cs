using System.Text;

namespace Nibble.Models.Tokenizer;

/// <summary>Code points and, when offsets are wanted, the range of the original text each of them came from.</summary>
sealed class Text
{
    int[] points;
    int[] starts = [], ends = []; // in code points of the original; empty unless Aligned

    public Text(bool aligned, int capacity)
    {
        points = new int[capacity];
        Aligned = aligned;
        if (aligned)
            (starts, ends) = (new int[capacity], new int[capacity]);
    }

    /// <summary>The code points of a string; half a surrogate pair on its own becomes U+FFFD.</summary>
    public static Text Of(string s, bool aligned = false)
    {
        var text = new Text(aligned, s.Length);
        for (var i = 0; i < s.Length; i++)
        {
            int point = s[i];
            if (point is >= 0xD800 and < 0xE000)
                if (i + 1 < s.Length && char.IsSurrogatePair(s[i], s[i + 1]))
                    point = char.ConvertToUtf32(s[i], s[++i]);
                else
                    point = 0xFFFD;
            text.Add(point, text.Length, text.Length + 1);
        }
        return text;
    }

    public bool Aligned { get; }

    public int Length { get; private set; }

    public ReadOnlySpan<int> Points => points.AsSpan(0, Length);

    /// <summary>Where the range of the code point begins in the original; 0 without alignment.</summary>
    public int StartOf(int index) => Aligned ? starts[index] : 0;

    public int EndOf(int index) => Aligned ? ends[index] : 0;

    public void Add(int point, int start, int end)
    {
        if (Length == points.Length)
            Grow();
        points[Length] = point;
        if (Aligned)
            (starts[Length], ends[Length]) = (start, end);
        Length++;
    }

    /// <summary>Adds a code point that came from where <paramref name="source"/>[<paramref name="index"/>] came from.</summary>
    public void Add(int point, Text source, int index)
    {
        if (Aligned)
            Add(point, source.starts[index], source.ends[index]);
        else
            Add(point, 0, 0);
    }

    public void Add(Text source, int start, int end)
    {
        for (var i = start; i < end; i++)
            Add(source.points[i], source, i);
    }

    public Text Slice(int start, int end)
    {
        if (start == 0 && end == Length)
            return this;
        var slice = new Text(Aligned, end - start);
        slice.Add(this, start, end);
        return slice;
    }

    public override string ToString()
    {
        var s = new StringBuilder(Length);
        foreach (var point in Points)
            s.Append(new Rune(point));
        return s.ToString();
    }

    void Grow()
    {
        var capacity = Math.Max(16, 2 * points.Length);
        Array.Resize(ref points, capacity);
        if (!Aligned)
            return;
        Array.Resize(ref starts, capacity);
        Array.Resize(ref ends, capacity);
    }
}
