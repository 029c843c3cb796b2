using System.Globalization;

namespace Nibble.Cli.Output;

/// <summary>Numbers as people write them, and back.</summary>
static class Units
{
    static readonly string[] Binary = ["B", "KiB", "MiB", "GiB", "TiB"];

    /// <summary>Like <c>5.3 MiB</c>.</summary>
    public static string Bytes(long bytes)
    {
        var value = (double)bytes;
        var unit = 0;
        for (; value >= 1024 && unit < Binary.Length - 1; unit++)
            value /= 1024;
        return unit == 0 ? $"{bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{value:0.0} {Binary[unit]}");
    }

    /// <summary>Like <c>1h 04m</c>, <c>2m 31s</c>, <c>8.2s</c>.</summary>
    public static string Time(TimeSpan time) => time switch
    {
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}h {time.Minutes:00}m"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}m {time.Seconds:00}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0}s"),
    };

    /// <summary>Four significant digits.</summary>
    public static string Number(double value) => value.ToString(Math.Abs(value) is >= 1e-3 and < 1e5 or 0 ? "0.####" : "0.###e+0", CultureInfo.InvariantCulture);

    public static string Percent(double share) => (100 * share).ToString("0.##", CultureInfo.InvariantCulture) + " %";

    /// <summary>Reads <c>64MiB</c>, <c>5GB</c>, <c>1.5 GiB</c> or plain bytes.</summary>
    /// <param name="option">Where the text comes from, for the error.</param>
    /// <exception cref="UsageException">The text is no size.</exception>
    public static long ParseBytes(string text, string option)
    {
        var trimmed = text.Trim();
        var digits = trimmed.TakeWhile(c => char.IsAsciiDigit(c) || c == '.').Count();
        var unit = trimmed[digits..].Trim().ToUpperInvariant();
        double factor = unit switch
        {
            "" or "B" => 1,
            "K" or "KIB" => 1L << 10,
            "M" or "MIB" => 1L << 20,
            "G" or "GIB" => 1L << 30,
            "T" or "TIB" => 1L << 40,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => 0,
        };
        return factor > 0 && double.TryParse(trimmed[..digits], NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && number * factor < long.MaxValue
            ? (long)(number * factor)
            : throw new UsageException($"{option}: '{text}' is no size; expected something like 64MiB or 5GB.");
    }
}
