using Nibble.Export.Verification;
using Nibble.Quant;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Runs;

/// <summary>The runtime whose rules a checkpoint is held to.</summary>
/// <param name="Name">As users write it.</param>
/// <param name="Asked">
/// Whether the user named it. If not, a format that this runtime does not read is worth a warning: the checkpoint may be meant for another.
/// </param>
sealed record TargetChoice(Target Target, string Name, bool Asked)
{
    static readonly string[] Acceptance = ["algorithm-accepted", "cache-accepted"];

    /// <summary>Holds a plan to the runtime the user named, before anything is written.</summary>
    /// <exception cref="QuantizationException">It would not load the checkpoint.</exception>
    public void Check(Plan plan)
    {
        if (Asked && CheckpointVerifier.Refusals(Target, plan.Quantized.Select(module => module.Scheme!), plan.Recipe.KeyValues) is [var refusal, ..])
            throw new QuantizationException($"--target {Name} would not load this: {refusal}.");
    }

    /// <summary>Opens the checkpoint again and checks it.</summary>
    public Verdict Verify(string checkpoint)
    {
        var findings = CheckpointVerifier.Verify(checkpoint, Target);
        return new Verdict(
            [.. findings.Where(finding => Asked || !Acceptance.Contains(finding.Rule))],
            [.. findings.Where(finding => !Asked && Acceptance.Contains(finding.Rule))
                .Select(finding => $"{Name} does not read {finding.Found} in this layout; expected {finding.Expected}.")]);
    }
}

/// <summary>What verification found.</summary>
/// <param name="Findings">Broken rules.</param>
/// <param name="Warnings">What keeps the default runtime from loading the checkpoint.</param>
sealed record Verdict(IReadOnlyList<Finding> Findings, IReadOnlyList<string> Warnings)
{
    public bool Passed => Findings.Count == 0;
}
