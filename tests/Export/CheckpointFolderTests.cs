using System.Text;
using System.Text.Json;
using Nibble.Export;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export;

public class CheckpointFolderTests
{
    static string Sharded(string name) => Repository.Fixture($"layouts/safetensors/sharded-{name}");

    public static TheoryData<string, string> Expectations => new(JsonDocument.Parse(
        File.ReadAllBytes(Repository.Fixture("layouts/safetensors/sharded.json"))).RootElement.EnumerateObject()
        .Select(test => (test.Name, test.Value.GetProperty("expected").GetString()!)));

    [Theory]
    [MemberData(nameof(Expectations))]
    public void Sharded_folder_is_accepted_warned_of_or_refused(string name, string expected)
    {
        if (expected == "error")
        {
            Assert.Contains(Sharded(name),
                Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(Sharded(name))).Message);
            return;
        }
        using var folder = CheckpointFolder.Open(Sharded(name));
        Assert.Equal(expected == "ok", folder.Warnings.Count == 0);
        foreach (var tensor in folder.Tensors)
            Assert.Equal(tensor.Shape, folder.Load(tensor.Name).Shape);
        folder.Prefetch(folder.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public void A_tensor_or_a_file_the_index_forgets_is_warned_of()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in new[] { "a.safetensors", "b.safetensors" })
            File.Copy(Repository.Fixture("layouts/safetensors/ok-plain.safetensors"), folder[name]);
        File.WriteAllText(folder["model.safetensors.index.json"], """{"weight_map":{"a":"a.safetensors"}}""");
        using var opened = CheckpointFolder.Open(folder.Path);
        Assert.Equal(["a", "b"], opened.Tensors.Select(tensor => tensor.Name).Order());
        Assert.Collection(opened.Warnings,
            warning => Assert.Contains("'b'", warning), warning => Assert.Contains("b.safetensors is not in the index", warning));
    }

    [Theory]
    [InlineData("..")]
    [InlineData("a/b.safetensors")]
    [InlineData("a\\\\b.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("C:x.safetensors")]
    [InlineData("")]
    public void A_shard_outside_the_folder_is_refused(string shard)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["model.safetensors.index.json"], $$$"""{"weight_map":{"a":"{{{shard}}}"}}""");
        Assert.Contains("'a'", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder.Path)).Message);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"weight_map":[]}""")]
    [InlineData("""{"weight_map":{"a":1}}""")]
    [InlineData("""{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}""")]
    [InlineData("""{"weight_map":{"a":"\ud800.safetensors"}}""")]
    public void A_bad_index_is_refused(string index)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["model.safetensors.index.json"], index);
        Assert.Contains("index.json", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder.Path)).Message);
    }

    [Fact]
    public void Side_files_are_all_but_weights_hidden_and_rewritten_ones()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Repository.Fixture("layouts/safetensors/ok-plain.safetensors"), folder["weights.safetensors"]);
        foreach (var name in new[] { "tokenizer.json", "chat_template.jinja", "modeling_x.py", ".hidden", "pytorch_model.bin",
            "a.gguf",
            "pytorch_model.bin.index.json", "x.safetensors.partial", "config.json", "hf_quant_config.json" })
            File.WriteAllText(folder[name], """{"model_type":"llama","quantization_config":{"quant_method":"fp8"}}""");
        Directory.CreateDirectory(folder["original"]);

        using var opened = CheckpointFolder.Open(folder.Path);
        Assert.Equal(["chat_template.jinja", "modeling_x.py", "tokenizer.json"], opened.SideFiles);
        Assert.Equal("llama", opened.ModelType);
        Assert.Equal("fp8", opened.QuantizationConfig!.Value.GetProperty("quant_method").GetString());
        Assert.Equal("llama", opened.HfQuantConfig!.Value.GetProperty("model_type").GetString());
        Assert.Equal(File.ReadAllBytes(folder["config.json"]), opened.Config.ToArray());
        Assert.Equal(2, opened.Tensors.Count);
    }

    [Theory]
    [InlineData("[1]")]
    [InlineData("{")]
    [InlineData("\uFEFF{}")]
    [InlineData("""{"model_type":"\ud800"}""")]
    public void A_bad_config_is_named(string config)
    {
        using var folder = new TemporaryFolder();
        File.Copy(Repository.Fixture("layouts/safetensors/ok-plain.safetensors"), folder["model.safetensors"]);
        File.WriteAllBytes(folder["config.json"], Encoding.UTF8.GetBytes(config));
        Assert.Contains("config.json", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder.Path)).Message);
    }

    [Fact]
    public void Weights_that_cannot_be_chosen_are_an_error()
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder["none"]));
        Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder.Path));
        foreach (var name in new[] { "a.safetensors", "b.safetensors" })
            File.Copy(Repository.Fixture("layouts/safetensors/ok-plain.safetensors"), folder[name]);
        Assert.Contains("found 2", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(folder.Path)).Message);
        using var single = CheckpointFolder.Open(folder["a.safetensors"]);
        Assert.Single(single.Shards);
    }
}
