using System.Diagnostics;

namespace Nibble.Perf;

/// <summary>How long the command takes to say its help: the price of every short call.</summary>
static class StartUp
{
    const int Runs = 11;
    const double MostSeconds = 0.15;

    /// <param name="executable">A published <c>nibble</c>, or null for the one built beside this.</param>
    /// <returns>Whether the bound was held.</returns>
    public static bool Run(TextWriter output, string? executable)
    {
        var path = Path.GetFullPath(executable ?? NibbleCommand.Path);
        Seconds(path);
        var seconds = Enumerable.Range(0, Runs).Select(_ => Seconds(path)).Order().ToList();
        var held = seconds[Runs / 2] <= MostSeconds;
        var bytes = Directory.GetFiles(Path.GetDirectoryName(path)!, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
        output.WriteLine($"{path} --help: median {seconds[Runs / 2] * 1e3:F0} ms of {Runs} runs ({seconds[0] * 1e3:F0} to {seconds[^1] * 1e3:F0}), " +
            $"{(held ? "within" : "MISSES")} {MostSeconds * 1e3:F0} ms; its folder has {bytes / 1e6:F1} MB");
        return held;
    }

    static double Seconds(string path)
    {
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(new ProcessStartInfo(path, ["--help"]) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException($"{path} does not start.");
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 && text.Length > 0 ? clock.Elapsed.TotalSeconds
            : throw new InvalidOperationException($"{path} --help exits with {process.ExitCode}.");
    }
}
