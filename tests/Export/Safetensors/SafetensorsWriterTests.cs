using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Tensors;

namespace Nibble.Tests.Export.Safetensors;

public class SafetensorsWriterTests
{
    static readonly TensorSpec[] Specs =
    [
        new("three.bytes", DType.U8, new Shape(3)),
        new("matrix", DType.BF16, new Shape(4, 6)),
        new("scalar", DType.F32, default),
        new("nothing", DType.F32, new Shape(0, 3)),
        new("名前 \"quoted\"\n", DType.I64, new Shape(2)),
        new("odd.halves", DType.F16, new Shape(3)),
    ];

    internal static Tensor Filled(TensorSpec spec, int seed)
    {
        var tensor = Tensor.Empty(spec.Shape, spec.DType);
        unsafe
        {
            new Random(HashCode.Combine(seed, spec.Bytes)).NextBytes(new Span<byte>(tensor.Pointer, (int)tensor.Bytes));
        }
        return tensor;
    }

    static byte[] Write(string path, IEnumerable<TensorSpec> order)
    {
        using var writer = SafetensorsWriter.Create(path, Specs);
        foreach (var spec in order)
            writer.Write(spec.Name, Filled(spec, 7));
        writer.Complete();
        return File.ReadAllBytes(path);
    }

    [Fact]
    public void What_is_written_in_any_order_is_read_back_and_has_the_same_bytes()
    {
        using var folder = new TemporaryFolder();
        var bytes = Write(folder["a"], Specs);
        Assert.Equal(bytes, Write(folder["b"], Specs.Reverse()));
        Assert.Equal(["a", "b"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());

        using var file = SafetensorsFile.Open(folder["a"]);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(Specs.ToHashSet(), file.Tensors.ToHashSet());
        foreach (var spec in Specs)
            unsafe
            {
                Assert.Equal(new ReadOnlySpan<byte>(Filled(spec, 7).Pointer, (int)spec.Bytes),
                    new ReadOnlySpan<byte>(file.Load(spec.Name).Pointer, (int)spec.Bytes));
            }
    }

    [Fact]
    public void Every_tensor_is_aligned_to_its_elements_and_the_header_to_eight()
    {
        using var folder = new TemporaryFolder();
        var bytes = Write(folder["a"], Specs);
        Assert.Equal(0, BitConverter.ToInt64(bytes) % 8);
        using var file = SafetensorsFile.Open(folder["a"]);
        Assert.All(file.Entries, entry => Assert.Equal(0, entry.Start % entry.Spec!.DType.Bytes()));
        Assert.Equal(["matrix", "nothing", Specs[4].Name, "scalar", "odd.halves", "three.bytes"],
            file.Entries.Where(e => e.Bytes > 0).Select(e => e.Name).ToList() is var names ? [names[0], "nothing", .. names[1..]]
                : []);
    }

    [Fact]
    public void An_incomplete_file_never_gets_its_name()
    {
        using var folder = new TemporaryFolder();
        using (var writer = SafetensorsWriter.Create(folder["a"], Specs))
        {
            foreach (var spec in Specs[1..])
                writer.Write(spec.Name, Filled(spec, 1));
            Assert.Contains("three.bytes", Assert.Throws<CheckpointException>(writer.Complete).Message);
        }
        Assert.False(File.Exists(folder["a"]));
    }

    [Fact]
    public void A_complete_file_takes_no_more()
    {
        using var folder = new TemporaryFolder();
        using (var writer = SafetensorsWriter.Create(folder["a"], Specs))
        {
            foreach (var spec in Specs)
                writer.Write(spec.Name, Filled(spec, 1));
            writer.Complete();
        }
        using var complete = SafetensorsWriter.Reopen(folder["a"], Specs)!;
        Assert.Contains("already complete", Assert.Throws<CheckpointException>(() => complete.Write(Specs[0].Name, Filled(Specs[0], 1))).Message);
    }

    [Fact]
    public void A_tensor_that_is_not_as_declared_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var writer = SafetensorsWriter.Create(folder["a"], Specs);
        Assert.Contains("[4, 6] BF16", Assert.Throws<CheckpointException>(
            () => writer.Write("matrix", Tensor.Zeros(new Shape(6, 4), DType.BF16))).Message);
        Assert.Throws<CheckpointException>(() => writer.Write("matrix", Tensor.Zeros(new Shape(4, 6), DType.F16)));
        Assert.Throws<CheckpointException>(() => writer.Write("other", Tensor.Zeros(1)));
        Assert.Throws<CheckpointException>(() => SafetensorsWriter.Create(folder["b"], [Specs[0], Specs[0]]));
    }
}
