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
/// Shows how far a run is and how long it will still take. On a terminal one line that is rewritten; elsewhere a line every few seconds,
/// none in a run that is shorter; with <c>--json</c> JSON lines on the data stream.
/// </summary>
sealed class ProgressDisplay(Terminal terminal, bool json, Func<TimeSpan>? time = null)
{
    static readonly TimeSpan Animated = TimeSpan.FromMilliseconds(100), Streamed = TimeSpan.FromSeconds(1), Logged = TimeSpan.FromSeconds(5);

    /// <summary>Less work than this says too little about the speed.</summary>
    const double Telling = 0.02;

    readonly Func<TimeSpan> elapsed = time ?? Clock();
    readonly TimeSpan pause = json ? Streamed : terminal.CanAnimate ? Animated : Logged;
    TimeSpan next = json || terminal.CanAnimate ? TimeSpan.Zero : Logged;
    (double Done, TimeSpan At) skipped;
    bool drawn;

    /// <summary>Work up to here was done by an earlier run: neither it nor the time until now says anything about the speed.</summary>
    public void Skip(double done) => skipped = (done, elapsed());

    public void Show(string phase, string item, double done)
    {
        var now = elapsed();
        if (now < next)
            return;
        next = now + pause;
        var remaining = Remaining(done, now);
        if (json)
        {
            terminal.Json(new ProgressEvent("progress", phase, item, done, now.TotalSeconds, remaining?.TotalSeconds),
                ProgressJson.Default.ProgressEvent);
            return;
        }
        var text = string.Create(CultureInfo.InvariantCulture,
            $"{100 * done,5:0.0} %  {phase} {item}  {Units.Time(now)} elapsed{(remaining is { } left ? $", {Units.Time(left)} left" : "")}");
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

    TimeSpan? Remaining(double done, TimeSpan now) => done - skipped.Done < Telling ? null
        : (now - skipped.At) / (done - skipped.Done) * (1 - done);

    static Func<TimeSpan> Clock()
    {
        var clock = Stopwatch.StartNew();
        return () => clock.Elapsed;
    }
}
