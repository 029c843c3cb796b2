using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

/// <summary>Statistics as named tensors: what is written is read, what lies is refused by name.</summary>
public sealed class StoredStatisticsTests
{
    static readonly StatisticNeeds Needs = new(Channels: true, Headroom: true);

    static StatisticsInfo Info(string fingerprint = "aa", long samples = 2) => new(
        StatisticsInfo.CurrentVersion, [new("weights", "12"), new("config.json", "34")], [new(fingerprint, "data.jsonl", samples, 5, 3)],
        [new(["layer.q", "layer.k"], 16, Needs), new(["layer.o"], 16, Needs)], ["layer"]);

    static Dictionary<string, Tensor> Tensors(int seed)
    {
        using var inputs = new LayerStatistics("layer.q", 16, 0, Needs);
        inputs.Observe(Draw.Tensor(seed, 8, 16), row => row < 3 ? Modality.Vision : Modality.Text);
        var cache = new KeyValueStatistics("layer") { Modality = token => token < 2 ? Modality.Vision : Modality.Text };
        cache.Apply(Draw.Tensor(seed + 1, 5, 2, 8), Draw.Tensor(seed + 2, 5, 2, 8));
        var tensors = inputs.ToTensors().ToDictionary(tensor => $"layer.q/{tensor.Key}", tensor => tensor.Value);
        foreach (var (key, tensor) in cache.ToTensors())
            tensors[$"layer/{key}"] = tensor;
        return tensors;
    }

    static StoredStatistics Stored(Dictionary<string, Tensor> tensors, StatisticsInfo? info = null, string origin = "stats") =>
        new(new InMemory(tensors), (info ?? Info()).ToJson(), origin);

    [Fact]
    public void What_is_written_is_read()
    {
        var stored = Stored(Tensors(1));
        Assert.Equal(Info().ToJson(), stored.Info.ToJson());
        var group = stored.GroupOf("layer.k")!;
        Assert.Equal("layer.q", group.Name);
        using var inputs = stored.Inputs(group, 0);
        Assert.Equal((5, 3), (inputs!.Tokens(Modality.Text), inputs.Tokens(Modality.Vision)));
        Assert.Null(stored.Inputs(stored.GroupOf("layer.o")!, 0));
        Assert.Equal(["layer.o"], stored.Unseen());
        Assert.Null(stored.GroupOf("layer.v"));
        Assert.True(stored.Cache("layer")!.KeyAmaxOf(Modality.Vision) > 0);
        Assert.Null(stored.Cache("layer.o"));
    }

    [Fact]
    public void Caches_merge_to_the_whole_through_tensors()
    {
        KeyValueStatistics whole = new("a"), first = new("a"), second = new("a");
        for (var call = 0; call < 4; call++)
            foreach (var cache in (KeyValueStatistics[])[whole, call % 2 == 0 ? first : second])
            {
                cache.Modality = token => token % 2 == 0 ? Modality.Text : Modality.Vision;
                cache.Apply(Draw.Tensor(call, 3, 2, 8), Draw.Tensor(call + 9, 3, 2, 8));
            }
        var merged = KeyValueStatistics.FromTensors("a", first.ToTensors());
        merged.Merge(second);
        Assert.Equal((whole.KeyAmax, whole.RotatedKeyAmax, whole.ValueAmax), (merged.KeyAmax, merged.RotatedKeyAmax, merged.ValueAmax));
        foreach (var modality in Enum.GetValues<Modality>())
            Assert.Equal((whole.KeyAmaxOf(modality), whole.ValueAmaxOf(modality)), (merged.KeyAmaxOf(modality), merged.ValueAmaxOf(modality)));
        Assert.Equal(2, merged.KeyBias().Count);
        Close.Assert(whole.KeyBias()[1], merged.KeyBias()[1], 1e-6, 1e-7);
        Assert.Equal(Math.Max(first.CentredValues!.Amax, second.CentredValues!.Amax), merged.CentredValues!.Amax);
        Assert.True(whole.KeyAmaxOf(Modality.Text) != whole.KeyAmaxOf(Modality.Vision));
        Assert.Throws<QuantizationException>(() => merged.Apply(Tensor.From([float.NaN], 1, 1, 1), Draw.Tensor(1, 1, 1, 1)));
    }

    [Fact]
    public void A_cache_whose_heads_are_no_power_of_two_is_not_rotated()
    {
        var cache = new KeyValueStatistics("a");
        cache.Apply(Draw.Tensor(1, 3, 2, 6), Draw.Tensor(2, 3, 2, 6));
        Assert.Equal(0, cache.RotatedKeyAmax);
        Assert.True(cache.KeyAmax > 0);
    }

    public static TheoryData<string, string, string> Lies() => new()
    {
        { "not JSON", "{", "metadata" },
        { "an array", "[]", "metadata" },
        { "null", "null", "version 0" },
        { "another version", Info().ToJson().Replace("\"version\":1", "\"version\":2"), "version 2" },
        { "no groups", Info().ToJson().Replace("\"groups\"", "\"group\""), "groups" },
        { "null groups", Edit("groups", "null"), "groups" },
        { "a null group", Edit("groups", "[null]"), "no modules" },
        { "an empty group", Edit("groups", """[{"modules":[],"width":1,"needs":{}}]"""), "no modules" },
        { "a nameless module", Edit("groups", """[{"modules":[null],"width":1,"needs":{}}]"""), "no modules" },
        { "a negative width", Edit("groups", """[{"modules":["layer.q"],"width":-1,"needs":{}}]"""), "-1 inputs" },
        { "no needs", Edit("groups", """[{"modules":["layer.q"],"width":1}]"""), "layer.q" },
        { "a negative block", Edit("groups", """[{"modules":["layer.q"],"width":1,"needs":{"moment_block":-4}}]"""), "layer.q" },
        { "a module twice", Edit("groups", """[{"modules":["layer.q","layer.q"],"width":1,"needs":{}}]"""), "twice" },
        { "no shards", Edit("shards", "[]"), "shards" },
        { "a shard without a hash", Edit("shards", """[{"path":"x","samples":1}]"""), "fingerprint" },
        { "negative samples", Edit("shards", """[{"path":"x","fingerprint":"y","samples":-1}]"""), "2^53" },
        { "samples beyond all bounds", Edit("shards", """[{"path":"x","fingerprint":"y","samples":9223372036854775807}]"""), "2^53" },
        { "a nameless field", Edit("model", """[{"value":"x"}]"""), "no name" },
        { "a cache that is a module", Edit("caches", """["layer.q"]"""), "twice" },
        { "a deep tree", new string('[', 1000), "metadata" },
    };

    [Theory, MemberData(nameof(Lies))]
    public void Metadata_that_lies_is_refused(string what, string json, string told)
    {
        var error = Assert.Throws<QuantizationException>(() => new StoredStatistics(new InMemory([]), json, "file.safetensors"));
        Assert.Contains("file.safetensors", error.Message, StringComparison.Ordinal);
        Assert.True(error.Message.Contains(told, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Fact]
    public void Tensors_that_lie_are_refused_by_name()
    {
        Check("of nobody", tensors => tensors["layer.v/text/amax"] = Tensor.Zeros(1), "layer.v/text/amax");
        Check("without a slash", tensors => tensors["other"] = Tensor.Zeros(1), "other");
        Check("no tokens", tensors => tensors.Remove("layer.q/text/tokens"), "layer.q (text)", "tokens");
        Check("negative tokens", tensors => tensors["layer.q/text/tokens"].Span<long>()[0] = -5, "tokens", "-5");
        Check("a NaN", tensors => tensors["layer.q/vision/amax"].Span<float>()[0] = float.NaN, "layer.q (vision)", "NaN");
        Check("two maxima", tensors => tensors["layer.q/vision/amax"] = Tensor.Zeros(2), "layer.q (vision)", "one number");
        Check("another width", tensors => tensors["layer.q/text/channels/amax"] = Tensor.Zeros(17), "17", "16");
        Check("another type", tensors => tensors["layer.q/text/channels/amax"] = Tensor.Zeros(new Shape(16), DType.I64), "F32");
        Check("other bins", tensors => tensors["layer.q/text/headroom/block_counts"] = Tensor.Zeros(new Shape(3), DType.I64), "512 bins");
        Check("three modalities", tensors => tensors["layer/key_amax"] = Tensor.Zeros(3), "layer", "3");
        Check("no heads", tensors => tensors["layer/heads"].Span<long>()[0] = 0, "0 heads");
        Check("heads beyond all bounds", tensors => tensors["layer/heads"].Span<long>()[0] = 1L << 40, "heads");
        Check("heads that do not divide", tensors => tensors["layer/heads"].Span<long>()[0] = 3, "3 heads");
        Check("an infinite mean", tensors => tensors["layer/keys/mean_sum"].Span<double>()[0] = double.PositiveInfinity, "mean_sum");

        static void Check(string what, Action<Dictionary<string, Tensor>> change, params string[] told)
        {
            var tensors = Tensors(1);
            change(tensors);
            var error = Assert.Throws<QuantizationException>(() =>
            {
                var stored = Stored(tensors, origin: "file.safetensors");
                stored.Inputs(stored.GroupOf("layer.q")!, 0);
                stored.Cache("layer");
            });
            Assert.All(told.Append("file.safetensors"),
                part => Assert.True(error.Message.Contains(part, StringComparison.Ordinal), $"{what}: '{part}' is not in: {error.Message}"));
        }
    }

    [Fact]
    public void Shards_of_one_model_add_up_and_others_are_refused()
    {
        StoredStatistics one = Stored(Tensors(1), origin: "one"), other = Stored(Tensors(5), Info("bb", 7), "other");
        var joined = JoinedStatistics.OfShards([one, other]);
        Assert.Equal(9, joined.Info.Samples);
        var tokens = new Dictionary<string, long>();
        joined.ForEach((name, tensor) =>
        {
            if (name.EndsWith("tokens", StringComparison.Ordinal))
                tokens[name] = tensor.Span<long>()[0];
        });
        Assert.Equal((10, 6, 2), (tokens["layer.q/text/tokens"], tokens["layer.q/vision/tokens"], tokens.Count));

        Refused("weights", info => info with { Model = [new("weights", "99"), info.Model[1]] });
        Refused("tokenizer", info => info with { Model = [.. info.Model, new("tokenizer", "1")] });
        Refused("layer.o", info => info with { Groups = [info.Groups[0]] });
        Refused("layer.q", info => info with { Groups = [info.Groups[0] with { Needs = StatisticNeeds.None }, info.Groups[1]] });
        Refused("layer.o", info => info with { Groups = [info.Groups[0], info.Groups[1] with { Width = 8 }] });
        Refused("layer is", info => info with { Caches = [] });
        Assert.Contains("twice", Assert.Throws<QuantizationException>(() => JoinedStatistics.OfShards([one, Stored(Tensors(5))])).Message,
            StringComparison.Ordinal);

        void Refused(string told, Func<StatisticsInfo, StatisticsInfo> change)
        {
            var changed = new StoredStatistics(new InMemory([]), change(Info("bb")).ToJson(), "other");
            var error = Assert.Throws<QuantizationException>(() => JoinedStatistics.OfShards([one, changed]));
            Assert.All(["one", "other", told], part => Assert.Contains(part, error.Message, StringComparison.Ordinal));
        }
    }

    /// <summary>The usual metadata with another value of one field.</summary>
    static string Edit(string field, string value)
    {
        var node = System.Text.Json.Nodes.JsonNode.Parse(Info().ToJson())!;
        node[field] = System.Text.Json.Nodes.JsonNode.Parse(value);
        return node.ToJsonString();
    }

    sealed class InMemory(Dictionary<string, Tensor> tensors) : ITensorSource
    {
        public IReadOnlyCollection<TensorSpec> Tensors =>
            [.. tensors.Select(tensor => new TensorSpec(tensor.Key, tensor.Value.DType, tensor.Value.Shape))];

        public TensorSpec? Find(string name) => tensors.TryGetValue(name, out var tensor) ? new TensorSpec(name, tensor.DType, tensor.Shape) : null;

        public Tensor Load(string name) => tensors[name];
    }
}
