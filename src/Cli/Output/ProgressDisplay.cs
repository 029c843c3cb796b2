using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Serialization;

namespace Nibble.Cli.Output;

/// <summary>One line of the JSON stream of a long run.</summary>
sealed record ProgressEvent(string Event, string Phase, string Item, double Done, double ElapsedSeconds, double? RemainingSeconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ProgressEvent))]
sealed partial class ProgressJson : JsonSerializerContext;

/// <summary>
/// Shows how far a run is and how long it will still take. On a terminal one line that is rewritten; elsewhere a line every few seconds;
/// with <c>--json</c> JSON lines on the data stream.
/// </summary>
sealed class ProgressDisplay(Terminal terminal, bool json)
{
    static readonly TimeSpan Animated = TimeSpan.FromMilliseconds(100), Logged = TimeSpan.FromSeconds(5);

    readonly Stopwatch clock = Stopwatch.StartNew();
    TimeSpan next = TimeSpan.Zero;
    double skipped;
    bool drawn;

    public TimeSpan Elapsed => clock.Elapsed;

    /// <summary>Work up to here was done by an earlier run and says nothing about the speed of this one.</summary>
    public void Skip(double done) => skipped = done;

    public void Show(string phase, string item, double done)
    {
        if (clock.Elapsed < next)
            return;
        next = clock.Elapsed + (terminal.CanAnimate && !json ? Animated : Logged);
        var remaining = Remaining(done);
        if (json)
        {
            terminal.Json(new ProgressEvent("progress", phase, item, done, clock.Elapsed.TotalSeconds, remaining?.TotalSeconds),
                ProgressJson.Default.ProgressEvent);
            return;
        }
        var text = string.Create(CultureInfo.InvariantCulture,
            $"{100 * done,5:0.0} %  {phase} {item}  {Units.Time(clock.Elapsed)} elapsed{(remaining is { } left ? $", {Units.Time(left)} left" : "")}");
        if (terminal.CanAnimate)
            terminal.Rewrite(text.Length < terminal.Width ? text : text[..(terminal.Width - 1)]);
        else
            terminal.Note(text);
        drawn = true;
    }

    /// <summary>Leaves the terminal's line clean.</summary>
    public void End()
    {
        if (drawn && terminal.CanAnimate)
            terminal.Rewrite("");
    }

    TimeSpan? Remaining(double done) => done - skipped < 0.01 ? null
        : TimeSpan.FromSeconds(clock.Elapsed.TotalSeconds / (done - skipped) * (1 - done));
}
