namespace Nibble.Models.Tokenizer.Patterns;

enum Operation
{
    /// <summary>One code point of the set.</summary>
    Take,
    /// <summary>At least A and at most B code points of the set; gives them back one by one unless possessive.</summary>
    TakeMany,
    TakeManyPossessive,
    /// <summary>Try A first, then B.</summary>
    Split,
    Jump,
    /// <summary>The instructions up to the next <see cref="Match"/> match here; go on at A where they began.</summary>
    LookAhead,
    NegativeLookAhead,
    /// <summary>As look-ahead, but goes on where they ended.</summary>
    Atomic,
    Assert,
    Match,
}

readonly record struct Instruction(Operation Operation, int A = 0, int B = 0, CharacterSet? Set = null);

/// <summary>Turns a parsed pattern into instructions for <see cref="Matcher"/>.</summary>
sealed class PatternCompiler
{
    const int LongestProgram = 10_000; // published patterns need about 60

    readonly string source;
    readonly List<Instruction> program = [];

    PatternCompiler(string source) => this.source = source;

    public static Instruction[] Compile(string source, Node node)
    {
        var compiler = new PatternCompiler(source);
        compiler.Add(node);
        compiler.Emit(new Instruction(Operation.Match));
        return [.. compiler.program];
    }

    void Add(Node node)
    {
        switch (node)
        {
            case SetNode set:
                Emit(new Instruction(Operation.Take, Set: set.Set));
                break;
            case SequenceNode sequence:
                foreach (var part in sequence.Parts)
                    Add(part);
                break;
            case ChoiceNode choice:
                AddChoice(choice.Options);
                break;
            case RepeatNode repeat:
                AddRepeat(repeat);
                break;
            case LookAheadNode look:
                AddEnclosed(look.Negative ? Operation.NegativeLookAhead : Operation.LookAhead, look.Body);
                break;
            case AtomicNode atomic:
                AddEnclosed(Operation.Atomic, atomic.Body);
                break;
            case AnchorNode anchor:
                Emit(new Instruction(Operation.Assert, (int)anchor.Anchor));
                break;
        }
    }

    void AddChoice(Node[] options)
    {
        var exits = new List<int>();
        foreach (var option in options[..^1])
        {
            var split = Emit(new Instruction(Operation.Split));
            Add(option);
            exits.Add(Emit(new Instruction(Operation.Jump)));
            program[split] = new Instruction(Operation.Split, split + 1, program.Count);
        }
        Add(options[^1]);
        foreach (var exit in exits)
            program[exit] = new Instruction(Operation.Jump, program.Count);
    }

    void AddEnclosed(Operation operation, Node body)
    {
        var enclosing = Emit(new Instruction(operation));
        Add(body);
        Emit(new Instruction(Operation.Match));
        program[enclosing] = new Instruction(operation, program.Count);
    }

    void AddRepeat(RepeatNode repeat)
    {
        var (body, least, most, greed) = repeat;
        while (body is SequenceNode { Parts: [var only] })
            body = only;
        if (body is SetNode set && greed != Greed.Lazy)
        {
            var operation = greed == Greed.Greedy ? Operation.TakeMany : Operation.TakeManyPossessive;
            Emit(new Instruction(operation, least, most, set.Set));
            return;
        }
        if (greed == Greed.Possessive)
        {
            AddEnclosed(Operation.Atomic, repeat with { Greed = Greed.Greedy });
            return;
        }
        if (most == RepeatNode.Unbounded && body.Shortest == 0)
            throw new ModelException($"The pattern {source} repeats without end a part that can match nothing.");
        AddCopies(body, least, most, greed);
    }

    void AddCopies(Node body, int least, int most, Greed greed)
    {
        var start = program.Count;
        for (var i = 0; i < least && (i == 0 || program.Count > start); i++) // nothing, however often, is nothing
            Add(body);
        if (most == RepeatNode.Unbounded)
        {
            var split = Emit(new Instruction(Operation.Split));
            Add(body);
            Emit(new Instruction(Operation.Jump, split));
            program[split] = Choose(split + 1, program.Count, greed);
            return;
        }
        var splits = new List<int>();
        for (var i = least; i < most; i++)
        {
            splits.Add(Emit(new Instruction(Operation.Split)));
            Add(body);
        }
        foreach (var split in splits)
            program[split] = Choose(split + 1, program.Count, greed);
    }

    static Instruction Choose(int body, int exit, Greed greed) =>
        greed == Greed.Lazy ? new Instruction(Operation.Split, exit, body) : new Instruction(Operation.Split, body, exit);

    int Emit(Instruction instruction)
    {
        if (program.Count == LongestProgram)
            throw new ModelException($"The pattern {(source.Length <= 100 ? source : source[..100] + "…")} is too large.");
        program.Add(instruction);
        return program.Count - 1;
    }
}
