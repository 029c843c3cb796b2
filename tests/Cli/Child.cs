using System.Diagnostics;

namespace Nibble.Tests.Cli;

/// <summary>The program as a process of its own, which can be killed.</summary>
sealed class Child : IDisposable
{
    readonly Process process;
    readonly Task<string> output, error;

    /// <param name="folder">Its working folder.</param>
    /// <param name="shell">What a shell does before it becomes the program; null to start it directly.</param>
    public Child(string folder, string? shell, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        string[] command = ["dotnet", "exec", Path.Combine(AppContext.BaseDirectory, "nibble.dll"), .. arguments];
        var start = new ProcessStartInfo(shell is null ? command[0] : "/bin/sh")
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var word in shell is null ? command[1..] : ["-c", shell + "; exec \"$@\"", "sh", .. command])
            start.ArgumentList.Add(word);
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        process = Process.Start(start)!;
        output = process.StandardOutput.ReadToEndAsync();
        error = process.StandardError.ReadToEndAsync();
    }

    public Child(string folder, params string[] arguments) : this(folder, null, new Dictionary<string, string>(), arguments) { }

    public bool HasExited => process.HasExited;

    /// <summary>Ends the process as <c>kill -9</c> does.</summary>
    /// <returns>False when it had ended before.</returns>
    public bool Kill(TimeSpan after)
    {
        if (process.WaitForExit(after))
            return false;
        process.Kill();
        process.WaitForExit();
        return true;
    }

    /// <summary>Sends what Ctrl-C sends.</summary>
    public void Interrupt()
    {
        using var kill = Process.Start("/bin/sh", ["-c", $"kill -INT {process.Id}"]);
        kill.WaitForExit();
    }

    public CommandRun Wait()
    {
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)), "The process did not end.");
        return new CommandRun(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Waits for a good end.</summary>
    public void Good()
    {
        var run = Wait();
        Assert.True(run.Code == 0, $"exit code {run.Code}\n{run.Error}");
    }

    public void Dispose()
    {
        if (!process.HasExited)
            process.Kill();
        process.Dispose();
    }
}
