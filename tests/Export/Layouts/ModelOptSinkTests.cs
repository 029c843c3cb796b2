using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Models;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export.Layouts;

/// <summary>Finished modules on their way into a checkpoint, and back out of one that is not complete.</summary>
public class ModelOptSinkTests
{
    const int Rows = 6, Columns = 256, Rank = 3;

    const string Norm = "norm.weight";

    public static TheoryData<string, bool, int, DType> Modules()
    {
        var data = new TheoryData<string, bool, int, DType>();
        foreach (var scheme in Schemes.All.Select(entry => entry.Scheme.Name))
            data.Add(scheme, false, 0, DType.BF16);
        foreach (var scheme in (string[])["int4", "w4a8", "int8", "nvfp4"])
            data.Add(scheme, true, 0, DType.BF16);
        data.Add("nvfp4", true, Rank, DType.F32);
        data.Add("nvfp4", true, Rank, DType.F16);
        return data;
    }

    [Theory, MemberData(nameof(Modules))]
    public void A_module_comes_back_as_it_was_written_after_the_run_was_killed(string name, bool factors, int rank, DType type)
    {
        using var folder = new Support.TemporaryFolder();
        var plan = Planned(Schemes.Find(name)! with { PreQuantScale = factors, LowRank = rank }, type);
        using var norm = PlainNumbers.Of(new TensorSpec(Norm, type, new Shape(33)), Draw.Normal(33, 5));
        PackedWeight before, same, after;
        using (var writer = Open())
        {
            var sink = new ModelOptSink(writer);
            Assert.Null(sink.Read(plan));
            var module = Quantized(plan);
            before = new PackedWeight(module.Weight, module.Scheme.Activation, module.InputScale ?? 1)
            {
                PreQuantScale = module.PreQuantScale,
                LowRank = module.LowRank,
            };
            sink.Write(module);
            sink.Write(Norm, norm);
            Assert.Null(sink.Read(plan)); // not durable yet
            Assert.Null(sink.Read(Norm));
            sink.Finish("stage", "{}"u8);
            same = sink.Read(plan)!;
        }
        using (var writer = Open()) // without Complete: as if killed
        {
            var sink = new ModelOptSink(writer);
            Assert.NotNull(sink.FinishedNote("stage"));
            Same(norm, sink.Read(Norm)!);
            after = sink.Read(plan)!;
            var error = Assert.Throws<CheckpointException>(() => writer.Load("no.such.tensor"));
            Assert.Contains("no.such.tensor", error.Message);
            writer.Complete([SideFile.Of("config.json", "{}"u8.ToArray())]);
            Same(norm, writer.Load(Norm) ?? Tensor.Zeros(1));
        }
        foreach (var found in (PackedWeight[])[same, after])
            Same(before, found);

        CheckpointWriter Open() => CheckpointWriter.Open(folder.Path, [.. ModelOptLayout.Specs(plan), new TensorSpec(Norm, type, new Shape(33))],
            new CheckpointOptions { MaxShardBytes = 500 });
    }

    [Fact]
    public void A_shard_that_was_cut_is_named()
    {
        using var folder = new Support.TemporaryFolder();
        TensorSpec[] specs = [new(Norm, DType.F32, new Shape(33))];
        using var writer = CheckpointWriter.Open(folder.Path, specs, new CheckpointOptions());
        writer.Write(Norm, Tensor.Zeros(33));
        writer.Checkpoint();
        using (var stream = new FileStream(Directory.GetFiles(folder.Path, "*.partial").Single(), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(stream.Length - 4);
        var error = Assert.Throws<CheckpointException>(() => writer.Load(Norm));
        Assert.Contains("132 bytes expected", error.Message);
        Assert.Equal(Norm, error.Tensor);
    }

    [Fact]
    public void What_the_plan_has_no_place_for_is_refused_and_so_is_what_it_lacks()
    {
        var with = Quantized(Planned(Schemes.Find("nvfp4")! with { PreQuantScale = true, LowRank = Rank }, DType.BF16));
        var without = Planned(Schemes.Find("nvfp4")! with { PreQuantScale = true, LowRank = Rank }, DType.BF16) with
        {
            KeepsPreQuantScale = false,
            LowRank = 0,
        };
        Assert.Contains("factors", Refused(with with { Plan = without }));
        Assert.Contains("factors", Refused(with with { PreQuantScale = null }));
        Assert.Contains("[256] expected; got 255 numbers", Refused(with with { PreQuantScale = new float[255] }));
        Assert.Contains("rank 3", Refused(with with { LowRank = null }));
        Assert.Contains("rank 0", Refused(with with { Plan = with.Plan with { LowRank = 0 } }));
        Assert.Contains("[3, 256]", Refused(with with { LowRank = new LowRank(Tensor.Zeros(2, Columns), Tensor.Zeros(Rows, 2)) }));
        var infinite = with.PreQuantScale!.ToArray();
        infinite[7] = float.MaxValue; // rounds to an infinity in BF16
        Assert.Contains("no place among BF16", Refused(with with { PreQuantScale = infinite }));

        static string Refused(QuantizedModule module) =>
            Assert.Throws<ArgumentException>(() => ModelOptLayout.Tensors(module)).Message;
    }

    [Fact]
    public void Rows_that_share_scales_must_have_equal_ones()
    {
        var plan = Planned(Schemes.Find("fp8_pb_wo")!, DType.BF16);
        var module = Quantized(plan);
        module.Weight.Scales!.Row(Rows - 1)[1] *= 2;
        Assert.Contains($"row {Rows - 1}", Assert.Throws<ArgumentException>(() => ModelOptLayout.Tensors(module)).Message);
    }

    [Fact]
    public void Biases_of_a_cache_are_declared_and_written_for_keys_and_values_alike()
    {
        var bias = new Shape(1, 2, 1, 32);
        var format = new Fp8KeyValues(KeyValueVariant.Affine);
        Assert.Equal(["a.k_proj.k_scale []", "a.v_proj.v_scale []", "a.k_proj.k_bias [1, 2, 1, 32]", "a.v_proj.v_bias [1, 2, 1, 32]"],
            ModelOptLayout.KeyValueSpecs("a", format, bias).Select(spec => $"{spec.Name} {spec.Shape}"));
        Assert.Empty(ModelOptLayout.KeyValueSpecs("a", new Fp8KeyValues(KeyValueVariant.Cast)));
        Assert.Throws<ArgumentException>(() => ModelOptLayout.KeyValueSpecs("a", format));
        var scales = new KeyValueScales("a", 1, 2) { KeyBias = Tensor.Zeros(bias), ValueBias = Tensor.Zeros(bias) };
        Assert.Equal(ModelOptLayout.KeyValueSpecs("a", format, bias).Select(spec => (spec.Name, spec.Shape)),
            ModelOptLayout.KeyValueTensors(scales).Select(pair => (pair.Name, pair.Tensor.Shape)));
        Assert.Throws<ArgumentException>(() => ModelOptLayout.KeyValueTensors(scales with { ValueBias = null }));
        Assert.Throws<ArgumentException>(() => ModelOptLayout.KeyValueTensors(scales with { ValueBias = Tensor.Zeros(1, 2, 1, 16) }));
        Assert.Throws<ArgumentException>(() => ModelOptLayout.KeyValueTensors(scales with { KeyScale = 0 }));
    }

    static PlannedModule Planned(Scheme scheme, DType type) =>
        new("layer", new TensorSpec("layer.weight", type, new Shape(Rows, Columns)), "stage", Scope.Language, scheme, "*", ["layer"])
        {
            KeepsPreQuantScale = scheme.PreQuantScale,
            LowRank = scheme.LowRank,
        };

    /// <summary>Factors and the part of low rank are numbers the element type has.</summary>
    static QuantizedModule Quantized(PlannedModule plan)
    {
        var scheme = plan.Scheme!;
        using var weight = Draw.Tensor(1, Rows, Columns);
        return new QuantizedModule(plan, WeightQuantizer.Quantize(weight, scheme.Weight), scheme.NeedsData ? scheme.Activation!.Scale(3) : null)
        {
            PreQuantScale = scheme.PreQuantScale ? [.. Enumerable.Range(0, Columns).Select(i => (1 + i % 8) / 8f)] : null,
            LowRank = scheme.LowRank == 0 ? null
                : new LowRank(Tensor.From(Draw.Ties(scheme.LowRank * Columns, 2), scheme.LowRank, Columns),
                    Tensor.From(Draw.Ties(Rows * scheme.LowRank, 3), Rows, scheme.LowRank)),
        };
    }

    static void Same(PackedWeight expected, PackedWeight actual)
    {
        Assert.Equal(expected.Weight.Format, actual.Weight.Format);
        Assert.Equal(expected.Activation, actual.Activation);
        Same(expected.Weight.Codes, actual.Weight.Codes);
        Same(expected.Weight.Scales, actual.Weight.Scales);
        Assert.Equal(expected.PreQuantScale, actual.PreQuantScale);
        using Tensor x = Draw.Tensor(4, 5, Columns), before = Tensor.Zeros(5, Rows), after = Tensor.Zeros(5, Rows);
        expected.Multiply(x, before);
        actual.Multiply(x, after);
        Assert.Equal(before.Span<float>().ToArray(), after.Span<float>().ToArray());
    }

    static unsafe void Same(Tensor? expected, Tensor? actual)
    {
        Assert.Equal(expected?.Bytes, actual?.Bytes);
        if (expected is null)
            return;
        Assert.True(new ReadOnlySpan<byte>(expected.Pointer, (int)expected.Bytes)
            .SequenceEqual(new ReadOnlySpan<byte>(actual!.Pointer, (int)actual.Bytes)));
        GC.KeepAlive((expected, actual));
    }
}
