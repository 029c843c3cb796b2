namespace Nibble.Quant.Calibration;

/// <summary>Where a token comes from. Every statistic is kept apart for the two.</summary>
public enum Modality
{
    Text,
    Vision,
}
