using Nibble.Quant.Formats;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>A quantized module and what was decided on the way.</summary>
/// <param name="Alpha">How much of the shift was applied; 0 without one.</param>
/// <param name="Mu">Share of vision in the scale search; null where it was not searched.</param>
/// <param name="Damping">The damping it took, as a share of the mean diagonal of H; null where it was rounded to nearest.</param>
/// <param name="Notes">What a report should say: dead inputs, raised damping, fallbacks, scarce data.</param>
public sealed record CompensationResult(
    QuantizedWeight Weight, double Alpha, double? Mu, double? Damping, IReadOnlyList<string> Notes);
