using Nibble.Cli.Runs;
using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Evaluation;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
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
        var rounded = new QuantizedModules();
        new Quantizer(Folder.Network, Folder.Files, plan, new QuantizerOptions(0, "")).Run(null, rounded);
        return new Generator(Folder.Network, new Weights(Folder.Files, new RoundedModules(rounded.Found, Folder.Files)));
    }

    public void Dispose() => Folder.Dispose();

    /// <summary>What the quantizer made, and from the checkpoint what it left alone.</summary>
    sealed class RoundedModules(Dictionary<string, QuantizedModule> rounded, IModuleSource plain) : IModuleSource
    {
        public ILinearWeight Linear(string module) => !rounded.TryGetValue(module, out var found) ? plain.Linear(module)
            : found.Weight.Format is IntGroup ? Decoded(found.Weight)
            : new PackedWeight(found.Weight);

        public IKeyValueFilter? KeyValues(string attention) => plain.KeyValues(attention);

        /// <summary>No runtime reads these formats and nothing decodes them fast: once is enough.</summary>
        static DenseWeight Decoded(QuantizedWeight weight)
        {
            var dense = Tensor.Empty(weight.Rows, weight.Columns);
            for (var row = 0; row < weight.Rows; row++)
                weight.Decode(row, 0, dense.Row(row));
            return new DenseWeight(dense);
        }
    }
}
