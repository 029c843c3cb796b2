namespace Nibble.Export.Verification;

/// <summary>The program that is to load a checkpoint.</summary>
public enum Target
{
    /// <summary>No program in particular: only what every one of them needs.</summary>
    Any,

    Vllm,
    Sglang,
    TensorRtLlm,

    /// <summary>Hugging Face Transformers.</summary>
    Transformers,
}

/// <summary>One way a checkpoint breaks a rule.</summary>
/// <param name="Subject">The tensor, module or file.</param>
/// <param name="Rule">The rule's name, like <c>scales-positive</c>.</param>
public sealed record Finding(string Subject, string Rule, string Expected, string Found)
{
    public override string ToString() => $"{Subject}: {Rule}: expected {Expected}; found {Found}";
}
