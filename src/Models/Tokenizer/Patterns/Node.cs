namespace Nibble.Models.Tokenizer.Patterns;

/// <summary>The parsed form of a pattern.</summary>
abstract record Node
{
    /// <summary>The fewest code points a match of this can have.</summary>
    public abstract int Shortest { get; }
}

sealed record SetNode(CharacterSet Set) : Node
{
    public override int Shortest => 1;
}

sealed record SequenceNode(Node[] Parts) : Node
{
    public override int Shortest => Parts.Aggregate(0, (sum, part) => Math.Min(sum + part.Shortest, 1 << 20));
}

sealed record ChoiceNode(Node[] Options) : Node
{
    public override int Shortest => Options.Min(option => option.Shortest);
}

enum Greed { Greedy, Lazy, Possessive }

sealed record RepeatNode(Node Body, int Least, int Most, Greed Greed) : Node
{
    public const int Unbounded = int.MaxValue;

    public override int Shortest => Least == 0 ? 0 : (int)Math.Min((long)Least * Body.Shortest, 1 << 20);
}

/// <summary>Matches here without taking anything, or (negative) does not match here.</summary>
sealed record LookAheadNode(Node Body, bool Negative) : Node
{
    public override int Shortest => 0;
}

/// <summary>Once matched, never tried another way.</summary>
sealed record AtomicNode(Node Body) : Node
{
    public override int Shortest => Body.Shortest;
}

enum Anchor { TextStart, TextEnd, TextEndOrLastNewline, LineStart, LineEnd }

sealed record AnchorNode(Anchor Anchor) : Node
{
    public override int Shortest => 0;
}
