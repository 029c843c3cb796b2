namespace Nibble.Quant;

/// <summary>What a run is doing.</summary>
public enum Phase
{
    /// <summary>Running calibration samples through a stage.</summary>
    Forward,

    /// <summary>Turning weights into codes and writing them.</summary>
    Quantize,
}

/// <summary>One sign of life of a long run.</summary>
/// <param name="Stage">The stage at work.</param>
/// <param name="Done">Work done of the whole run, 0 to 1, weighted by cost.</param>
/// <param name="Resumed">The stage had been finished by an earlier run.</param>
public sealed record Progress(Phase Phase, string Stage, int StageIndex, int StageCount, double Done, bool Resumed = false);
