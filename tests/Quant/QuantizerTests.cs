using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

public sealed class QuantizerTests
{
    [Theory, InlineData("llama"), InlineData("moe"), InlineData("vlm")]
    public void Activations_that_waited_on_disk_give_the_same_bytes(string model)
    {
        using var folder = new TemporaryFolder();
        var (roomy, spilled) = (folder.In("roomy"), folder.In("spilled"));
        Assert.Equal(0, Write(model, long.MaxValue, roomy));
        Assert.True(Write(model, 20_000, spilled) > 0, "nothing was spilled");
        Assert.Equal(File.ReadAllBytes(Path.Combine(roomy, "model.safetensors")), File.ReadAllBytes(Path.Combine(spilled, "model.safetensors")));
        Assert.False(Directory.Exists(Path.Combine(spilled, "activations")), "the activations are still there");
    }

    [Fact]
    public void Modules_are_released_once_they_are_written()
    {
        var sink = new RecordingSink();
        Run("llama", sink, long.MaxValue, "unused");
        Assert.Equal(14, sink.Modules.Count);
        Assert.All(sink.Modules, module => Assert.True(sink.Alive[module.Name], $"{module.Name} was released too early"));
        Assert.All(sink.Modules, module => Assert.True(Released(module.Weight.Codes) && Released(module.Weight.Scales!), module.Name));
    }

    [Fact]
    public void Stages_are_finished_in_order_after_their_modules()
    {
        var sink = new RecordingSink();
        Run("llama", sink, long.MaxValue, "unused");
        var expected = Enumerable.Range(0, 2).SelectMany(layer => (string[])
        [
            .. ((string[])["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"])
                .Select(module => $"model.layers.{layer}.{module}"),
            $"finish model.layers.{layer}",
        ]);
        Assert.Equal(expected, sink.Calls);
    }

    [Theory, InlineData(1), InlineData(7), InlineData(14)]
    public void What_the_sink_cannot_write_ends_the_run(int writes)
    {
        var sink = new RecordingSink { FailsAt = writes };
        var error = Assert.Throws<IOException>(() => Run("llama", sink, long.MaxValue, "unused"));
        Assert.Equal("full", error.Message);
        Assert.Equal(writes - 1, sink.Modules.Count);
        Assert.Equal((writes - 1) / 7, sink.Calls.Count(call => call.StartsWith("finish", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_cancelled_run_keeps_the_stages_it_finished()
    {
        using var cancellation = new CancellationTokenSource();
        var sink = new RecordingSink();
        var progress = new Cancelling(cancellation);
        Assert.Throws<OperationCanceledException>(() => Run("llama", sink, long.MaxValue, "unused", progress, cancellation.Token));
        Assert.Equal("finish model.layers.0", sink.Calls[^1]);
    }

    [Fact]
    public void A_continued_run_counts_what_was_done_and_ends_at_the_whole()
    {
        var first = new RecordingSink();
        Run("llama", first, long.MaxValue, "unused");
        var again = new RecordingSink { Earlier = new() { ["model.layers.0"] = first.Notes["model.layers.0"] } };
        var seen = new List<Progress>();
        Run("llama", again, long.MaxValue, "unused", new Listening(seen));
        Assert.Equal(7, again.Modules.Count);
        Assert.Contains(seen, progress => progress is { Resumed: true, Phase: Phase.Quantize, Stage: "model.layers.0" });
        Assert.Equal(seen.Select(progress => progress.Done), seen.Select(progress => progress.Done).Order());
        Assert.Equal(1, seen[^1].Done, 1e-9);
    }

    static unsafe bool Released(Nibble.Tensors.Tensor tensor) => tensor.Storage.Pointer is null;

    static long Write(string model, long budget, string output)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        var plan = Plan(source, model);
        using var writer = CheckpointWriter.Open(output, ModelOptSink.Declare(plan, source), new CheckpointOptions());
        foreach (var tensor in plan.Copied)
            writer.Write(tensor.Name, source.Load(tensor.Name));
        var spilled = Run(model, new ModelOptSink(writer), budget, Path.Combine(output, "activations"));
        writer.Complete([]);
        return spilled;
    }

    /// <summary>NVFP4 with cache scales on the recorded calibration tokens; returns the bytes spilled.</summary>
    static long Run(
        string model, IQuantizedSink sink, long budget, string spill, IProgress<Progress>? progress = null,
        CancellationToken cancellation = default)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        using var calibration = SafetensorsFile.Open(Repository.Fixture($"modelopt/models/{model}/calib.safetensors"));
        var quantizer = new Quantizer(Network(source, model), source, Plan(source, model), new QuantizerOptions(budget, spill));
        quantizer.Run(new TokenSamples(calibration, model), sink, progress, cancellation);
        return quantizer.SpilledBytes;
    }

    static Plan Plan(CheckpointFolder source, string model) => Nibble.Quant.Planning.Plan.Create(Network(source, model), source,
        Recipe.Uniform(Schemes.Find("nvfp4"), [Scope.Language], []));

    static INetwork Network(CheckpointFolder source, string model) =>
        Networks.Create(ModelConfig.Parse(source.Config.Span, model), source);

    /// <summary>Cancels as soon as the second decoder block begins.</summary>
    sealed class Cancelling(CancellationTokenSource cancellation) : IProgress<Progress>
    {
        public void Report(Progress value)
        {
            if (value.Stage == "model.layers.1")
                cancellation.Cancel();
        }
    }

    sealed class Listening(List<Progress> seen) : IProgress<Progress>
    {
        public void Report(Progress value) => seen.Add(value);
    }

    sealed class RecordingSink : IQuantizedSink
    {
        /// <summary>Notes of stages an earlier run finished.</summary>
        public Dictionary<string, byte[]> Earlier { get; init; } = [];

        public Dictionary<string, byte[]> Notes { get; } = [];

        public List<QuantizedModule> Modules { get; } = [];

        public List<string> Calls { get; } = [];

        /// <summary>Whether the tensors could still be read when the module was written.</summary>
        public Dictionary<string, bool> Alive { get; } = [];

        /// <summary>The write that fails, counted from 1.</summary>
        public int FailsAt { get; init; }

        public byte[]? FinishedNote(string stage) => Earlier.GetValueOrDefault(stage);

        public void Write(QuantizedModule module)
        {
            if (Modules.Count + 1 == FailsAt)
                throw new IOException("full");
            Modules.Add(module);
            Calls.Add(module.Name);
            Alive[module.Name] = !Released(module.Weight.Codes);
        }

        public void Write(KeyValueScales scales) => Calls.Add(scales.Attention);

        public void Write(string tensor, Tensor value) => Calls.Add(tensor);

        public PackedWeight? Read(PlannedModule module) => null;

        public Tensor? Read(string tensor) => null;

        public void Finish(string stage, ReadOnlySpan<byte> note)
        {
            Calls.Add($"finish {stage}");
            Notes[stage] = note.ToArray();
        }
    }
}
