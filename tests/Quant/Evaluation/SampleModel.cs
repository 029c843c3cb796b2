using Nibble.Cli.Runs;
using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Evaluation;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Evaluation;

/// <summary>samples/shapes-vlm, its evaluation data, and the model rounded to nearest in memory.</summary>
public sealed class SampleModel : IDisposable
{
    internal ModelFolder Folder { get; } = ModelFolder.Open(Repository.Path("samples/shapes-vlm"));

    internal EvalSet Data { get; } =
        EvalSet.Read(Repository.Path("samples/shapes-vlm/eval.jsonl"), Repository.Path("samples/shapes-vlm/eval_text.txt"));

    /// <summary>Scores of a model of this architecture; <paramref name="against"/> the sample as it is, or nothing.</summary>
    internal EvalScores Evaluate(Generator model, Generator? against, EvalSet? data = null) =>
        new Evaluator(model, Folder.Prompts, new EvalOptions(Folder.StopTokens()[0]), against).Run(data ?? Data);

    /// <summary>The sample with every linear layer of its language model rounded to nearest, each matrix by itself.</summary>
    internal Generator Rounded(string format)
    {
        var recipe = Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], Algorithm.Rtn);
        var plan = Plan.Create(Folder.Network, Folder.Files, recipe);
        var rounded = new QuantizedInMemory(Folder.Files, Folder.Files);
        new Quantizer(Folder.Network, Folder.Files, plan, new QuantizerOptions(0, "")).Run(null, rounded);
        return new Generator(Folder.Network, new Weights(rounded, rounded));
    }

    public void Dispose() => Folder.Dispose();
}
