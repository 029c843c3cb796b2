using System.Globalization;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Calibration;

/// <summary>How the range of static activation scales follows from what calibration saw.</summary>
public enum RangeMethod
{
    /// <summary>The largest magnitude.</summary>
    Max,

    /// <summary>The magnitude below which a share of all values lies: <see cref="PercentileRange"/>.</summary>
    Percentile,

    /// <summary>The range of least divergence on a grid of 8 bits: <see cref="EntropyRange"/>.</summary>
    Entropy,

    /// <summary>The range of least squared error: <see cref="SquaredErrorRange"/>.</summary>
    Mse,

    /// <summary>Room for block scales above what was seen: <see cref="BlockHeadroom"/>.</summary>
    Headroom,
}

/// <summary>A choice of range, written <c>max</c>, <c>percentile:99.99</c>, <c>entropy</c>, <c>mse</c> or <c>headroom</c>.</summary>
/// <param name="Percentile">For that method only, above 0 and at most 100.</param>
public sealed record ActivationRange(RangeMethod Method, double Percentile = ActivationRange.UsualPercentile)
{
    const double UsualPercentile = 99.99;

    public static ActivationRange Max { get; } = new(RangeMethod.Max);

    /// <summary>What users can write.</summary>
    public static IReadOnlyList<string> Words { get; } = [.. Enum.GetNames<RangeMethod>().Select(name => name.ToLowerInvariant())];

    /// <summary>What has to be gathered for it.</summary>
    public StatisticNeeds Needs => new(
        Histogram: Method is RangeMethod.Percentile or RangeMethod.Entropy or RangeMethod.Mse, Headroom: Method == RangeMethod.Headroom);

    /// <summary>A range as written, <c>percentile:99.9</c> or <c>percentile 99.9</c>; null when it is none.</summary>
    public static ActivationRange? Parse(string text)
    {
        var words = text.Split([':', ' '], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words.Length is 0 or > 2 || Words.All(word => !word.Equals(words[0], StringComparison.OrdinalIgnoreCase)))
            return null;
        var method = Enum.Parse<RangeMethod>(words[0], ignoreCase: true);
        return words.Length == 1 ? new ActivationRange(method)
            : method == RangeMethod.Percentile && double.TryParse(words[1], NumberStyles.Float, CultureInfo.InvariantCulture, out var percentile)
                && percentile is > 0 and <= 100 ? new ActivationRange(method, percentile) : null;
    }

    /// <summary>Why a range makes no sense for a format, or null.</summary>
    public string? Refuse(ActivationFormat format) => (Method, format) switch
    {
        (RangeMethod.Headroom, not NvFp4Activation) => "headroom is room for the block scales of nvfp4",
        (RangeMethod.Entropy or RangeMethod.Mse, NvFp4Activation) => "it weighs one grid over the whole range, and nvfp4 has one in every block of 16",
        _ => null,
    };

    /// <summary>The range, which takes the place of the largest magnitude. Statistics of both modalities count together.</summary>
    /// <param name="statistics">With what <see cref="Needs"/> says.</param>
    /// <exception cref="QuantizationException">That was not gathered.</exception>
    public float Of(LayerStatistics statistics, ActivationFormat format) => Method switch
    {
        RangeMethod.Max => statistics.Amax,
        RangeMethod.Headroom => Gathered(statistics.Headroom, statistics, "headroom").Range(),
        RangeMethod.Percentile => PercentileRange.Of(Histogram(statistics), Percentile),
        RangeMethod.Entropy => EntropyRange.Of(Histogram(statistics)),
        _ => format is Int8PerTensor ? SquaredErrorRange.OfInteger(Histogram(statistics)) : SquaredErrorRange.OfE4M3(Histogram(statistics)),
    };

    public override string ToString() => Method == RangeMethod.Percentile
        ? string.Create(CultureInfo.InvariantCulture, $"percentile:{Percentile}") : Method.ToString().ToLowerInvariant();

    static MagnitudeHistogram Histogram(LayerStatistics statistics) => Gathered(statistics.Histogram, statistics, "histogram");

    static T Gathered<T>(T? statistic, LayerStatistics statistics, string name) where T : class =>
        statistic ?? throw new QuantizationException($"{statistics.Name}: the {name} of its inputs was not gathered.");
}
