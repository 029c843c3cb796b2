namespace Nibble.Tensors.Ops;

/// <summary>How the next token is chosen. The defaults change nothing: one draw from softmax(logits).</summary>
public sealed record SamplingOptions
{
    /// <summary>False: the most probable token, the first of equals.</summary>
    public bool DoSample { get; init; } = true;

    /// <summary>Logits are divided by it; 0 is the most probable token, like <see cref="DoSample"/> = false.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Tokens less probable than the k-th are removed; 0 removes none.</summary>
    public int TopK { get; init; }

    /// <summary>The smallest set with this much mass is kept; 1 keeps all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Tokens below this share of the most probable one are removed; 0 removes none.</summary>
    public double MinP { get; init; }

    /// <summary>The most typical tokens with this much mass are kept; 1 keeps all.</summary>
    public double TypicalP { get; init; } = 1;

    /// <summary>Above 1, tokens of the context become less probable; 1 changes nothing.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>No run of this many tokens occurs twice; 0 allows all.</summary>
    public int NoRepeatNgramSize { get; init; }

    /// <exception cref="ArgumentOutOfRangeException">A value that no rule gives a meaning to.</exception>
    internal SamplingOptions Checked()
    {
        Require(Temperature >= 0 && double.IsFinite(Temperature), Temperature, "The temperature is 0 or more.",
            nameof(Temperature));
        Require(TopK >= 0, TopK, "Top-k is 0 or more.", nameof(TopK));
        Require(TopP is >= 0 and <= 1, TopP, "Top-p is from 0 to 1.", nameof(TopP));
        Require(MinP is >= 0 and <= 1, MinP, "Min-p is from 0 to 1.", nameof(MinP));
        Require(TypicalP is >= 0 and <= 1, TypicalP, "Typical-p is from 0 to 1.", nameof(TypicalP));
        Require(RepetitionPenalty > 0 && double.IsFinite(RepetitionPenalty), RepetitionPenalty,
            "The repetition penalty is above 0.", nameof(RepetitionPenalty));
        Require(NoRepeatNgramSize >= 0, NoRepeatNgramSize, "The length of an n-gram is 0 or more.", nameof(NoRepeatNgramSize));
        return this;
    }

    static void Require(bool holds, object value, string rule, string name)
    {
        if (!holds)
            throw new ArgumentOutOfRangeException(name, value, rule);
    }
}
