using System.Globalization;
using System.Text;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>C's strftime in the C locale, for a time without a zone. An unknown letter is left as it stands.</summary>
static class Strftime
{
    public static string Apply(string format, DateTime time)
    {
        var result = new StringBuilder();
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%' || at + 1 == format.Length)
            {
                result.Append(format[at]);
                continue;
            }

            var start = at++;
            var unpadded = format[at] == '-' && at + 1 < format.Length;
            if (unpadded)
                at++;
            result.Append(Field(format[at], time) is not { } field ? format[start..(at + 1)]
                : unpadded ? Unpadded(field) : field);
        }

        return result.ToString();
    }

    static string? Field(char letter, DateTime time) => letter switch
    {
        'a' => Named(time, "ddd"),
        'A' => Named(time, "dddd"),
        'b' or 'h' => Named(time, "MMM"),
        'B' => Named(time, "MMMM"),
        'c' => Apply("%a %b %e %H:%M:%S %Y", time),
        'C' => Two(time.Year / 100),
        'd' => Two(time.Day),
        'D' or 'x' => Apply("%m/%d/%y", time),
        'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'f' => (time.Ticks % TimeSpan.TicksPerSecond / 10).ToString("000000", CultureInfo.InvariantCulture),
        'F' => Apply("%Y-%m-%d", time),
        'g' => Two(ISOWeek.GetYear(time) % 100),
        'G' => ISOWeek.GetYear(time).ToString(CultureInfo.InvariantCulture),
        'H' => Two(time.Hour),
        'I' => Two((time.Hour + 11) % 12 + 1),
        'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'm' => Two(time.Month),
        'M' => Two(time.Minute),
        'n' => "\n",
        'p' => time.Hour < 12 ? "AM" : "PM",
        'r' => Apply("%I:%M:%S %p", time),
        'R' => Apply("%H:%M", time),
        'S' => Two(time.Second),
        't' => "\t",
        'T' or 'X' => Apply("%H:%M:%S", time),
        'u' => (((int)time.DayOfWeek + 6) % 7 + 1).ToString(CultureInfo.InvariantCulture),
        'U' => Two((time.DayOfYear + 6 - (int)time.DayOfWeek) / 7),
        'V' => Two(ISOWeek.GetWeekOfYear(time)),
        'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
        'W' => Two((time.DayOfYear + 6 - ((int)time.DayOfWeek + 6) % 7) / 7),
        'y' => Two(time.Year % 100),
        'Y' => time.Year.ToString(CultureInfo.InvariantCulture),
        'z' or 'Z' => "",
        '%' => "%",
        _ => null,
    };

    static string Unpadded(string field)
    {
        var text = field.TrimStart('0', ' ');
        return text.Length == 0 && field.Length > 0 ? "0" : text;
    }

    static string Named(DateTime time, string pattern) => time.ToString(pattern, CultureInfo.InvariantCulture);

    static string Two(int number) => number.ToString("00", CultureInfo.InvariantCulture);
}
