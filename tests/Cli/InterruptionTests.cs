using System.Diagnostics;
using System.Security.Cryptography;
using Nibble.Cli;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Runs that are stopped in the middle and continued: the result has the same bytes as an uninterrupted run.</summary>
public sealed class InterruptionTests : IDisposable
{
    const int Kills = 20;

    /// <summary>The copied tensors and four blocks, with room.</summary>
    const int MostStages = 8;

    /// <summary>They hold times and what one process needed, so they differ from run to run.</summary>
    static readonly string[] Reports = ["report.json", "report.html"];

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    static string[] Quantize(int samples) =>
        ["quantize", Models.Vision, "--format", "nvfp4", "--kv", "fp8", "--samples", $"{samples}", "--activation-budget", "100KiB", "-o", "out"];

    /// <summary>Names and hashes of all files but the reports.</summary>
    static string Fingerprint(string output) => string.Join("\n", Directory.GetFiles(output, "*", SearchOption.AllDirectories)
        .Where(file => !Reports.Contains(Path.GetFileName(file))).Order(StringComparer.Ordinal)
        .Select(file => $"{Path.GetRelativePath(output, file)} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))}"));

    /// <summary>Killed when the checkpoint was complete and only the last words were missing.</summary>
    static bool Ended(string place) =>
        File.Exists(Path.Combine(place, "out/report.html")) && !File.Exists(Path.Combine(place, "out/.nibble/progress.jsonl"));

    string Place(string name) => Directory.CreateDirectory(folder.In(name)).FullName;

    [Fact]
    public void Killed_at_any_moment_a_run_continues_to_the_same_bytes()
    {
        var clock = Stopwatch.StartNew();
        using (var whole = new Child(Place("whole"), Quantize(6)))
            whole.Good();
        var length = clock.Elapsed; // of the first, slowest run: the fractions below are of the time later ones take
        var expected = Fingerprint(folder.In("whole/out"));
        Assert.Contains("README.md", expected, StringComparison.Ordinal);

        var random = new Random(20);
        var (kills, finished) = (0, 0);
        for (var run = 0; kills < Kills; run++)
        {
            Assert.True(run < 200, $"only {kills} of {run} runs were long enough to be killed");
            var place = Place($"killed{finished}");
            using var child = new Child(place, Quantize(6));
            if (child.Kill(length * (0.2 + 0.8 * random.NextDouble())))
            {
                kills++;
                if (!Ended(place))
                    continue; // the next process goes on with it
            }
            else
            {
                child.Good();
                length *= 0.9; // it was faster than expected
            }
            Assert.Equal(expected, Fingerprint(Path.Combine(place, "out")));
            finished++;
        }
        using var last = new Child(Place($"killed{finished}"), Quantize(6));
        last.Good();
        Assert.Equal(expected, Fingerprint(folder.In($"killed{finished}/out")));
    }

    /// <summary>Algorithms that carry what was quantized along must find it again on disk.</summary>
    [Theory]
    [InlineData("gptq", "int4", "none")]
    [InlineData("gptaq", "nvfp4", "none")]
    [InlineData("vlm-ptq", "mxfp4", "none")]
    [InlineData("best", "nvfp4", "fp8")]
    [InlineData("awq", "nvfp4", "fp8")]
    [InlineData("smoothquant", "int8", "none")]
    [InlineData("max", "nvfp4_local_hessian", "none")]
    [InlineData("svdquant", "nvfp4", "none")]
    [InlineData("rtn", "fp8", "fp8")]
    [InlineData("gptq", "int4", "none", "hadamard")]
    [InlineData("awq", "nvfp4", "fp8", "hadamard")]
    public void Killed_after_each_stage_every_algorithm_continues_to_the_same_bytes(
        string algorithm, string format, string cache, string rotation = "none")
    {
        string[] command = ["quantize", Models.Vision, "--format", format, "--algorithm", algorithm, "--kv", cache, "--rotation", rotation,
            "--samples", "4", "-o", "out"];
        var (whole, place) = (Place("whole"), Place("killed"));
        using (var child = new Child(whole, command))
            child.Good();
        var kills = 0;
        for (long finished = 0; ;)
        {
            using var child = new Child(place, command);
            var journal = new FileInfo(Path.Combine(place, "out/.nibble/progress.jsonl"));
            while (!child.HasExited)
            {
                journal.Refresh();
                if (journal.Exists && journal.Length > finished && child.Kill(TimeSpan.Zero))
                    break;
                Thread.Sleep(1);
            }
            journal.Refresh();
            if (!journal.Exists)
                break; // it came to its end
            finished = journal.Length;
            Assert.True(++kills <= MostStages, "The run does not get on.");
        }
        Assert.InRange(kills, 2, MostStages);
        Assert.Equal(Fingerprint(Path.Combine(whole, "out")), Fingerprint(Path.Combine(place, "out")));
    }

    [Fact]
    public void Interrupted_from_the_keyboard_it_says_how_to_go_on()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Signals are sent with kill.");
        Assert.SkipWhen(InterruptIsIgnored(), "Started in the background by a shell, where children ignore the keyboard's signal.");
        var place = Place("stopped");
        using (var child = new Child(place, Quantize(128)))
        {
            var journal = Path.Combine(place, "out/.nibble/progress.jsonl");
            for (var clock = Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromSeconds(30) && !child.HasExited && !File.Exists(journal);)
                Thread.Sleep(10);
            child.Interrupt();
            var run = child.Wait();
            Assert.Equal(ExitCode.Cancelled, run.Code);
            Assert.Contains("The same command continues the run.", run.Error, StringComparison.Ordinal);
            Assert.Empty(run.Output);
        }
        Assert.True(File.Exists(Path.Combine(place, "out/.nibble/progress.jsonl")));
        Assert.False(Directory.Exists(Path.Combine(place, "out/.nibble/activations")));
    }

    /// <summary>Whether this process, and so its children, was started with SIGINT ignored. Known on Linux only.</summary>
    static bool InterruptIsIgnored()
    {
        const string field = "SigIgn:";
        const int interrupt = 2;
        return File.Exists("/proc/self/status") && File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal))
            is { } ignored && (Convert.ToUInt64(ignored[field.Length..].Trim(), 16) >> (interrupt - 1) & 1) == 1;
    }

    [Fact]
    public void Another_recipe_model_or_data_is_not_a_continuation()
    {
        Models.WriteVision(folder.In("model"));
        string[] command = ["quantize", folder.In("model"), "--format", "fp8", "--samples", "2", "-o", folder.In("out")];
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), command).Code);

        void Refused(string field, params string[] arguments) =>
            CommandRun.Refused(ExitCode.BadInput, [$"cannot go on: {field} was '"], arguments);
        Refused("recipe", [.. command, "--exclude", "model.layers.0.*"]);
        Refused("recipe", [.. command, "--kv", "fp8"]);
        Refused("recipe", [.. command, "--rotation", "hadamard"]);
        Refused("data", [.. command.Select(word => word == "2" ? "3" : word)]);
        Refused("target", [.. command, "--target", "trtllm"]);
        Refused("maxShardBytes", [.. command, "--max-shard-size", "1MB"]);
        var config = File.ReadAllText(folder.In("model/config.json"));
        File.WriteAllText(folder.In("model/config.json"), config.Replace("\"use_cache\": true", "\"use_cache\": false"));
        Refused("model", command);
        File.WriteAllText(folder.In("model/config.json"), config);
        File.AppendAllText(folder.In("model/chat_template.jinja"), " ");
        Refused("model", command);
        File.Copy(Path.Combine(Models.Vision, "chat_template.jinja"), folder.In("model/chat_template.jinja"), overwrite: true);

        CommandRun.Good(command);
        CommandRun.Good([.. command, "--kv", "fp8", "--overwrite"]);
    }

    [Fact]
    public void A_full_disk_is_named_and_costs_nothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The limit is set by a shell.");
        var place = Place("full");
        var environment = new Dictionary<string, string> { ["DOTNET_EnableWriteXorExecute"] = "0" }; // its own large files would hit the limit
        using (var child = new Child(place, "trap '' XFSZ; ulimit -f 1000", environment, Quantize(2)))
        {
            var run = child.Wait();
            Assert.Equal(ExitCode.Failure, run.Code);
            Assert.Contains("model.safetensors", run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
        }
        using var again = new Child(place, Quantize(2));
        again.Good();
    }

    [Fact]
    public void A_plan_that_does_not_fit_ends_with_3()
    {
        var environment = new Dictionary<string, string> { ["DOTNET_GCHeapHardLimit"] = "0x6000000" }; // 96 MiB
        using var child = new Child(Place("small"), null, environment, Quantize(2));
        var run = child.Wait();
        Assert.Equal(ExitCode.CannotFit, run.Code);
        Assert.Contains("bytes of memory are needed", run.Error, StringComparison.Ordinal);
    }
}
