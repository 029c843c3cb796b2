namespace Nibble.Cli.Runs;

/// <summary>How a run is carried out, apart from its recipe.</summary>
/// <param name="Calibration">What the user named, or null for the default beside the model.</param>
/// <param name="Samples">Use at most so many.</param>
/// <param name="ActivationBudget">Bytes.</param>
/// <param name="MaxShardBytes">Bytes.</param>
sealed record RunOptions(string? Calibration, int? Samples, TargetChoice Target, long ActivationBudget, long MaxShardBytes)
{
    /// <summary>A file of `nibble calibrate` to use instead of data; null for none.</summary>
    public string? Statistics { get; init; }
}
