namespace Nibble.Quant.Reports;

/// <summary>One choice of formats.</summary>
/// <param name="EffectiveBits">Mean bits of the searched modules.</param>
/// <param name="Bytes">Of the weight files.</param>
/// <param name="Score">The damage: a sum over groups of modules.</param>
public sealed record TradeOffPoint(double EffectiveBits, long Bytes, double Score);

/// <summary>Size against damage, as a search for formats found them.</summary>
/// <param name="Method">How damage was measured: <c>gradient</c> or <c>kl</c>.</param>
/// <param name="LowerBound">No choice within the limit has a smaller score.</param>
/// <param name="Front">Choices that no other one beats at their size, smallest first.</param>
public sealed record TradeOff(string Method, TradeOffPoint Chosen, double LowerBound, IReadOnlyList<TradeOffPoint> Front);
