using Nibble.Export;
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

namespace Nibble.Tests.Quant.Calibration;

public sealed class SpillFolderTests
{
    [Fact]
    public void Spilling_leaves_a_folder_as_it_found_it()
    {
        using var temporary = new TemporaryFolder();
        File.WriteAllText(temporary.In("somebody-elses.txt"), "kept");
        Directory.CreateDirectory(temporary.In("subfolder"));

        using var checkpoint = QuantizedCheckpoint.Open(Repository.Path("samples/shapes-vlm"));
        var network = Networks.Create(ModelConfig.Parse(checkpoint.Folder.Config.Span, "config.json"), checkpoint);
        var plan = Plan.Create(network, checkpoint, Recipe.Uniform(Schemes.Find("fp8"), [Scope.Language], []));
        var sink = new Forgetful();
        new Quantizer(network, checkpoint, plan, new QuantizerOptions(ActivationBudget: 0, temporary.Path))
            .Run(new SampleList([new Sample(1, 2, 3), new Sample(4, 5)]), sink);

        Assert.Equal(28, sink.Modules);
        Assert.Equal(["somebody-elses.txt", "subfolder"],
            Directory.GetFileSystemEntries(temporary.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal("kept", File.ReadAllText(temporary.In("somebody-elses.txt")));
    }

    sealed class Forgetful : IQuantizedSink
    {
        public int Modules { get; private set; }

        public byte[]? FinishedNote(string stage) => null;

        public void Write(QuantizedModule module) => Modules++;

        public void Write(KeyValueScales scales) { }

        public void Write(string tensor, Tensor value) { }

        public PackedWeight? Read(PlannedModule module) => null;

        public Tensor? Read(string tensor) => null;

        public void Finish(string stage, ReadOnlySpan<byte> note) { }
    }
}
