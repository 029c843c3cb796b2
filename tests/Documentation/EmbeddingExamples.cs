using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Models.Tokenizer;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tests.Support;
using Console = System.IO.StringWriter;

namespace Nibble.Tests.Documentation;

/// <summary>The examples of docs/embedding.md, compiled and run; a test holds the page to them line by line.</summary>
public sealed class EmbeddingExamples
{
    [Fact]
    public void Running_and_quantizing_a_model()
    {
        using var temporary = new TemporaryFolder();
        var (folder, output) = (Repository.Path("samples/shapes-vlm"), temporary.In("out"));
        using var Console = new Console();

        using var checkpoint = QuantizedCheckpoint.Open(folder);          // plain or quantized
        var config = ModelConfig.Parse(checkpoint.Folder.Config.Span, "config.json");
        var network = Networks.Create(config, checkpoint);
        var generator = new Generator(network, new Weights(checkpoint, checkpoint));
        var tokenizer = Tokenizer.Parse(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")), "tokenizer.json");

        var text = tokenizer.Stream(skipSpecialTokens: true);
        foreach (var token in generator.Generate(new Sample(tokenizer.Encode("Once upon")), new GenerationOptions { MaxNewTokens = 20 }))
            Console.Write(text.Next(token));
        Assert.NotEmpty(Console.ToString());

        var recipe = Recipe.Uniform(Schemes.Find("nvfp4"), [Scope.Language], exclude: []);
        var plan = Plan.Create(network, checkpoint, recipe);               // plan.Problems says what cannot work
        using var writer = CheckpointWriter.Open(output, ModelOptSink.Declare(plan, checkpoint), new CheckpointOptions());
        foreach (var tensor in plan.Copied)
            writer.Write(tensor.Name, checkpoint.Load(tensor.Name));

        var samples = new SampleList([new Sample(tokenizer.Encode("Calibration text."))]);
        new Quantizer(network, checkpoint, plan, new QuantizerOptions(ActivationBudget: 1L << 30, SpillFolder: Path.GetTempPath()))
            .Run(samples, new ModelOptSink(writer));
        writer.Complete(ModelOptLayout.Configs(checkpoint.Folder, [.. plan.Quantized.Select(m => (m.Name, m.Scheme!))], recipe.KeyValues));

        using var written = QuantizedCheckpoint.Open(output);
        Assert.Equal("NVFP4", written.Quantization?.Algorithm);

        var rules = Recipe.Uniform(Schemes.Find("int3"), [Scope.Language], exclude: [], algorithm: Algorithm.Best);
        var memory = new QuantizedInMemory(checkpoint, checkpoint);
        new Quantizer(network, checkpoint, Plan.Create(network, checkpoint, rules), new QuantizerOptions(1L << 30, Path.GetTempPath()))
            .Run(samples, memory);
        var rounded = new Generator(network, new Weights(memory, memory)); // for an Evaluator, or to ask it something
        Assert.Equal(28, memory.Modules.Count);
        Assert.NotEmpty(rounded.Generate(new Sample(tokenizer.Encode("Once upon")), new GenerationOptions { MaxNewTokens = 2 }));
    }

    [Fact]
    public void The_page_shows_these_lines()
    {
        var compiled = File.ReadAllLines(Repository.Path("tests/Documentation/EmbeddingExamples.cs")).Select(line => line.Trim()).ToHashSet();
        var shown = File.ReadAllText(Repository.Path("docs/embedding.md")).Split("```csharp")[1..]
            .SelectMany(part => part.Split("```")[0].Split('\n')).Select(line => line.Trim()).Where(line => line.Length > 0).ToList();
        Assert.True(shown.Count > 20);
        Assert.All(shown, line => Assert.Contains(line, compiled));
    }
}
