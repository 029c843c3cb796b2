using System.Text;
using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export.Safetensors;

public class SafetensorsFileTests
{
    static readonly JsonElement Verdicts = JsonDocument.Parse(
        File.ReadAllBytes(Repository.Fixture("layouts/safetensors/verdicts.json"))).RootElement.GetProperty("files").Clone();

    static string Fixture(string name) => Repository.Fixture($"layouts/safetensors/{name}.safetensors");

    public static TheoryData<string> Names => new(Verdicts.EnumerateObject().Select(file => file.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void Verdict_is_that_of_the_reference_library(string name)
    {
        var verdict = Verdicts.GetProperty(name);
        if (!verdict.GetProperty("ok").GetBoolean())
        {
            var error = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(Fixture(name)));
            Assert.Contains(Fixture(name), error.Message);
            return;
        }

        using var file = SafetensorsFile.Open(Fixture(name));
        var expected = verdict.GetProperty("tensors").EnumerateObject().ToDictionary(tensor => tensor.Name,
            tensor => $"{tensor.Value.GetProperty("dtype")} " +
                $"[{string.Join(", ", tensor.Value.GetProperty("shape").EnumerateArray())}]");
        Assert.Equal(expected, file.Entries.ToDictionary(entry => entry.Name, entry => $"{entry.Type} {entry.Shape}"));
        var metadata = verdict.GetProperty("metadata");
        Assert.Equal(metadata.ValueKind == JsonValueKind.Null ? []
            : metadata.EnumerateObject().ToDictionary(m => m.Name, m => m.Value.GetString()!),
            file.Metadata);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_listed_tensor_loads_or_names_its_type(string name)
    {
        if (!Verdicts.GetProperty(name).GetProperty("ok").GetBoolean())
            return;
        using var file = SafetensorsFile.Open(Fixture(name));
        file.Prefetch(file.Entries.Select(entry => entry.Name));
        foreach (var entry in file.Entries)
            if (entry.Spec is { } spec)
            {
                var tensor = file.Load(entry.Name);
                Assert.Equal((spec.Shape, spec.DType), (tensor.Shape, tensor.DType));
                Assert.Equal(File.ReadAllBytes(file.Path)[(int)entry.Start..(int)(entry.Start + entry.Bytes)], BytesOf(tensor));
            }
            else
                Assert.Contains(entry.Type, Assert.Throws<CheckpointException>(() => file.Load(entry.Name)).Message);
    }

    [Fact]
    public void Every_truncation_is_one_clear_error()
    {
        using var folder = new TemporaryFolder();
        var whole = File.ReadAllBytes(Fixture("ok-plain"));
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(folder["cut.safetensors"], whole[..length]);
            Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder["cut.safetensors"]).Dispose());
        }
    }

    [Fact]
    public void Every_changed_header_byte_is_read_or_refused_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var whole = File.ReadAllBytes(Fixture("ok-plain"));
        foreach (var replacement in new byte[] { 0, 0xFF, (byte)'9', (byte)'-', (byte)'"', (byte)'{', (byte)'\\' })
            for (var i = 0; i < whole.Length - 32; i++)
            {
                var changed = (byte[])whole.Clone();
                changed[i] = replacement;
                File.WriteAllBytes(folder["changed.safetensors"], changed);
                try
                {
                    using var file = SafetensorsFile.Open(folder["changed.safetensors"]);
                    foreach (var tensor in file.Tensors)
                        Assert.Equal(tensor.Bytes, file.Load(tensor.Name).Bytes);
                }
                catch (CheckpointException)
                {
                }
            }
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":DEEP}}""")]
    [InlineData("""{"a":DEEP}""")]
    [InlineData("""{"__metadata__":DEEP}""")]
    public void A_depth_bomb_inside_an_entry_is_refused(string header)
    {
        using var folder = new TemporaryFolder();
        Write(folder["deep.safetensors"], header.Replace("DEEP", new string('[', 100_000) + new string(']', 100_000)), 1);
        Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder["deep.safetensors"]));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "dtype")]
    [InlineData("""{"__metadata__":{},"__metadata__":{},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}""", "integers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-0,1],"data_offsets":[0,0]}}""", "integers")]
    [InlineData("""{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}""", "array")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", "should be its first")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}""", "JSON")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} {}""", "JSON")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}//""", "JSON")]
    public void A_lie_is_named(string header, string word)
    {
        using var folder = new TemporaryFolder();
        Write(folder["lie.safetensors"], header, 1);
        Assert.Contains(word, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder["lie.safetensors"])).Message);
    }

    [Fact]
    public void Text_that_is_no_Unicode_is_refused_also_where_it_is_ignored()
    {
        using var folder = new TemporaryFolder();
        byte[] header = [.. """{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":"?"}}"""u8];
        header[^4] = 0xC0;
        File.WriteAllBytes(folder["a"], [.. BitConverter.GetBytes((long)header.Length), .. header]);
        Assert.Contains("UTF-8", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder["a"])).Message);
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_named()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("none", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder["none"])).Message);
        Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path));
        using var file = SafetensorsFile.Open(Fixture("ok-plain"));
        Assert.Contains("'zz'", Assert.Throws<CheckpointException>(() => file.Load("zz")).Message);
    }

    static unsafe byte[] BytesOf(Tensor tensor) => new ReadOnlySpan<byte>(tensor.Pointer, (int)tensor.Bytes).ToArray();

    static void Write(string path, string header, int dataBytes) =>
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. Encoding.UTF8.GetBytes(header),
            .. new byte[dataBytes]]);
}
