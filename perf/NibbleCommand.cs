using System.Diagnostics;

namespace Nibble.Perf;

/// <summary>What one run of the command cost.</summary>
/// <param name="PeakBytes">Its largest resident set; it is a process of its own, so nothing else is counted.</param>
sealed record CommandResult(int ExitCode, double Seconds, long PeakBytes, string Output, string Error);

/// <summary>The command, as a process of its own.</summary>
static class NibbleCommand
{
    /// <summary>The peak is asked for this often; the kernel keeps the maximum, so only the very last moments can escape.</summary>
    const int PollMilliseconds = 5;

    /// <summary>The executable built beside this one.</summary>
    public static string Path { get; } =
        System.IO.Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "nibble.exe" : "nibble");

    public static CommandResult Run(params string[] arguments) => RunAt(Path, arguments);

    public static CommandResult RunAt(string executable, params string[] arguments)
    {
        var start = new ProcessStartInfo(executable, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{executable} does not start.");
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        long peak = 0;
        do
            peak = Math.Max(peak, Peak(process));
        while (!process.WaitForExit(PollMilliseconds));
        return new CommandResult(process.ExitCode, clock.Elapsed.TotalSeconds, peak, output.Result, error.Result);
    }

    /// <summary>The same, where anything but success ends the benchmark.</summary>
    public static CommandResult Expect(params string[] arguments) => Expect([0], arguments);

    /// <summary>The same, where any other exit code than these ends the benchmark.</summary>
    public static CommandResult Expect(ReadOnlySpan<int> codes, string[] arguments)
    {
        var result = Run(arguments);
        return codes.Contains(result.ExitCode) ? result
            : throw new InvalidOperationException($"nibble {string.Join(' ', arguments)} exits with {result.ExitCode}:\n{result.Error}");
    }

    static long Peak(Process process)
    {
        try
        {
            process.Refresh();
            return process.PeakWorkingSet64;
        }
        catch (InvalidOperationException) // it has just ended
        {
            return 0;
        }
    }
}
