namespace Nibble.Models.Tokenizer.Patterns;

/// <summary>Runs a compiled pattern over one text: backtracking with a bounded number of steps and a bounded stack.</summary>
ref struct Matcher(Instruction[] program, ReadOnlySpan<int> text, string source)
{
    /// <summary>Ten times the most any published pattern took on a recorded text, runs of 20 000 alike included.</summary>
    const int StepsPerPoint = 400;

    const int DeepestStack = 1 << 20;

    readonly ReadOnlySpan<int> text = text;
    readonly Instruction[] program = program;
    readonly string source = source;
    long steps = StepsPerPoint * (text.Length + 20L);
    Choice[] stack = new Choice[32];
    int height = 0;

    /// <summary>Where to go on: at Position or, if Least ≥ 0, at every position from just below it down to Least.</summary>
    record struct Choice(int Next, int Position, int Least);

    /// <summary>The end of the match that begins exactly here, or -1.</summary>
    public int MatchAt(int start) => Run(0, start);

    int Run(int next, int position)
    {
        var floor = height;
        while (true)
        {
            if (--steps < 0)
                throw TooMuch();
            ref readonly var now = ref program[next];
            switch (now.Operation)
            {
                case Operation.Take:
                    if (position < text.Length && now.Set!.Contains(text[position]))
                    {
                        position++;
                        next++;
                        continue;
                    }
                    break;
                case Operation.TakeMany or Operation.TakeManyPossessive:
                    var end = Reach(now, position);
                    if (end - position >= now.A)
                    {
                        next++;
                        if (now.Operation == Operation.TakeMany && end - position > now.A)
                            Push(new Choice(next, end, position + now.A));
                        position = end;
                        continue;
                    }
                    break;
                case Operation.Split:
                    Push(new Choice(now.B, position, -1));
                    next = now.A;
                    continue;
                case Operation.Jump:
                    next = now.A;
                    continue;
                case Operation.LookAhead or Operation.NegativeLookAhead:
                    if (Run(next + 1, position) >= 0 == (now.Operation == Operation.LookAhead))
                    {
                        next = now.A;
                        continue;
                    }
                    break;
                case Operation.Atomic:
                    var after = Run(next + 1, position);
                    if (after >= 0)
                    {
                        position = after;
                        next = now.A;
                        continue;
                    }
                    break;
                case Operation.Assert:
                    if (Holds((Anchor)now.A, position))
                    {
                        next++;
                        continue;
                    }
                    break;
                case Operation.Match:
                    height = floor;
                    return position;
            }
            if (height == floor)
                return -1;
            (next, position) = Pop();
        }
    }

    int Reach(in Instruction many, int position)
    {
        var end = position;
        var limit = many.B >= text.Length - position ? text.Length : position + many.B;
        while (end < limit && many.Set!.Contains(text[end]))
            end++;
        steps -= end - position;
        return end;
    }

    readonly bool Holds(Anchor anchor, int position) => anchor switch
    {
        Anchor.TextStart => position == 0,
        Anchor.TextEnd => position == text.Length,
        Anchor.TextEndOrLastNewline => position == text.Length || position == text.Length - 1 && text[position] == '\n',
        Anchor.LineStart => position == 0 || position < text.Length && text[position - 1] == '\n',
        _ => position == text.Length || text[position] == '\n',
    };

    void Push(Choice choice)
    {
        if (height == stack.Length)
        {
            if (height >= DeepestStack)
                throw TooMuch();
            Array.Resize(ref stack, 2 * height);
        }
        stack[height++] = choice;
    }

    (int Next, int Position) Pop()
    {
        ref var top = ref stack[height - 1];
        if (top.Least < 0)
        {
            height--;
            return (top.Next, top.Position);
        }
        if (--top.Position == top.Least)
            height--;
        return (top.Next, top.Position);
    }

    readonly ModelException TooMuch() =>
        new($"The pattern {source} backtracks without end on a text of {text.Length} code points; it was given up.");
}
