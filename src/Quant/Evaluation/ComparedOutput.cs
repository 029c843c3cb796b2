namespace Nibble.Quant.Evaluation;

/// <summary>One recorded output beside ours.</summary>
/// <param name="MaxAbs">Largest absolute difference.</param>
/// <param name="ReferenceMax">Largest magnitude recorded.</param>
/// <param name="Equal">Every element the same.</param>
public sealed record ComparedOutput(string Name, long Count, double MaxAbs, double ReferenceMax, bool Equal)
{
    /// <summary>Compares numbers; NaN equals only NaN, and any other NaN makes the difference infinite.</summary>
    public static ComparedOutput Of(string name, ReadOnlySpan<float> recorded, ReadOnlySpan<float> ours)
    {
        double largest = 0, reference = 0;
        var equal = recorded.Length == ours.Length;
        for (var i = 0; i < Math.Min(recorded.Length, ours.Length); i++)
        {
            reference = Math.Max(reference, Math.Abs((double)recorded[i]));
            if (recorded[i] == ours[i] || (float.IsNaN(recorded[i]) && float.IsNaN(ours[i])))
                continue;
            equal = false;
            var difference = Math.Abs((double)recorded[i] - ours[i]);
            largest = Math.Max(largest, double.IsNaN(difference) ? double.PositiveInfinity : difference);
        }
        return new ComparedOutput(name, recorded.Length,
            recorded.Length == ours.Length ? largest : double.PositiveInfinity, reference, equal);
    }
}
