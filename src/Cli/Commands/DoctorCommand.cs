using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Tensors.Host;

namespace Nibble.Cli.Commands;

/// <summary>What this machine offers the engine.</summary>
sealed record DoctorView(
    string Version, string Runtime, string System, string Architecture, int Processors, int Threads, string CpuLevel,
    IReadOnlyList<string> CpuLevels, long MemoryBytes, string TemporaryFolder, long TemporaryFreeBytes, IReadOnlyList<string> Warnings);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DoctorView))]
sealed partial class DoctorJson : JsonSerializerContext;

/// <summary><c>nibble doctor</c>: what is there, and what is wrong with it.</summary>
static class DoctorCommand
{
    public static Command Create(Terminal terminal)
    {
        var json = CommonOptions.Json();
        var command = new Command("doctor", "Show what this machine offers and what is wrong with it.") { json };
        command.SetAction(parsed =>
        {
            var view = Look();
            if (parsed.GetValue(json))
                terminal.Json(view, DoctorJson.Default.DoctorView);
            else
                Show(terminal, view);
            return ExitCode.Ok;
        });
        return command;
    }

    static DoctorView Look()
    {
        var temporary = Path.GetTempPath();
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        var warnings = new List<string>();
        if (Cpu.Level == CpuLevel.Portable)
            warnings.Add("No AVX2 with FMA: the engine runs its portable loops, several times slower.");
        if (memory < 2L << 30)
            warnings.Add($"Only {Units.Bytes(memory)} of memory for this process.");
        return new DoctorView(
            Product.Version, RuntimeInformation.FrameworkDescription, RuntimeInformation.OSDescription,
            RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(), Environment.ProcessorCount, Threads.Count,
            Cpu.Level.ToString().ToLowerInvariant(), [.. Cpu.Available.Select(level => level.ToString().ToLowerInvariant())], memory,
            temporary, new DriveInfo(temporary).AvailableFreeSpace, warnings);
    }

    static void Show(Terminal terminal, DoctorView view)
    {
        terminal.Line($"nibble     {view.Version} on {view.Runtime}");
        terminal.Line($"system     {view.System}, {view.Architecture}");
        terminal.Line($"cpu        {view.Processors} processors, {view.Threads} used; {view.CpuLevel} (available: {string.Join(", ", view.CpuLevels)})");
        terminal.Line($"memory     {Units.Bytes(view.MemoryBytes)}");
        terminal.Line($"temporary  {view.TemporaryFolder}, {Units.Bytes(view.TemporaryFreeBytes)} free");
        terminal.Line("gpu        not used by this version");
        foreach (var warning in view.Warnings)
            terminal.Warning(warning);
    }
}
