using Nibble.Quant.Planning;

namespace Nibble.Cli.Runs;

/// <summary>Asks this machine for the limits a forecast needs.</summary>
static class Forecasts
{
    /// <summary>Tokens of a sample when nothing is known of the data yet.</summary>
    const int TypicalTokens = 512;

    /// <summary>Samples looked at to guess the number of tokens.</summary>
    const int Looked = 4;

    public static Forecast Of(ModelFolder model, Plan plan, RunOptions options, string? output, CalibrationFiles? data) =>
        Forecast.Of(plan, model.Network, new RunLimits(
            output is null ? null : OutputFolder.FreeBytes(output), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, options.ActivationBudget, Tokens(plan, data)));

    static long Tokens(Plan plan, CalibrationFiles? data)
    {
        if (!plan.NeedsData || data is null)
            return plan.NeedsData ? 128L * TypicalTokens : 0;
        var looked = Math.Min(Looked, data.Samples.Count);
        return Enumerable.Range(0, looked).Sum(i => (long)data.Samples.Load(i).Ids.Length) * data.Samples.Count / Math.Max(1, looked);
    }
}
