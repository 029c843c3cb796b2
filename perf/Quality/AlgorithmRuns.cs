using System.Text.Json;
using System.Text.Json.Serialization;
using Nibble.Cli.Runs;
using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Evaluation;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Perf.Quality;

/// <summary>What one algorithm made of one format from one draw of calibration samples.</summary>
/// <param name="TextError">Held-out error of modules on text, <paramref name="VisionError"/> on vision tokens.</param>
sealed record AlgorithmScore(
    string Format, string Algorithm, int Draw, int Right, int Questions, double Perplexity, double AnswerDivergence, double TextDivergence,
    double TextError, double VisionError, double Seconds);

[JsonSerializable(typeof(AlgorithmScore))]
sealed partial class AlgorithmScoreJson : JsonSerializerContext;

/// <summary>Tensors kept once they were made: a rotated source makes them anew each time.</summary>
sealed class HeldTensors(ITensorSource source) : ITensorSource
{
    readonly Dictionary<string, Tensor> held = [];

    public IReadOnlyCollection<TensorSpec> Tensors => source.Tensors;

    public TensorSpec? Find(string name) => source.Find(name);

    public Tensor Load(string name) => held.TryGetValue(name, out var tensor) ? tensor : held[name] = source.Load(name);
}

/// <summary>
/// Algorithms on a model with evaluation data. A draw is half of calib.jsonl; the other half measures the error of modules. Everything
/// happens in memory, so that formats no file stores are measured as well.
/// </summary>
sealed class AlgorithmRuns : IDisposable
{
    readonly ModelFolder stored, folder;
    readonly HeldTensors tensors;
    readonly Generator original;
    readonly EvalSet data;
    readonly EvalOptions options;
    readonly List<DataEntry> entries;

    /// <param name="quick">No answers are generated: the exact match then says nothing.</param>
    /// <param name="rotation">Of the weights, before anything else; scores are against the model as it is stored.</param>
    public AlgorithmRuns(string model, bool quick, Rotation rotation = Rotation.None)
    {
        stored = ModelFolder.Open(model);
        folder = ModelFolder.Open(model, rotation);
        tensors = new HeldTensors(folder.Source);
        original = stored.Generator();
        data = EvalSet.Read(folder.In("eval.jsonl"), folder.In("eval_text.txt"));
        options = new EvalOptions(folder.StopTokens()[0], quick ? 1 : 24);
        entries = DataEntry.ReadAll(folder.In("calib.jsonl"));
    }

    /// <param name="compensation">Other options than those of a sequential algorithm.</param>
    public AlgorithmScore Run(Scheme scheme, Algorithm algorithm, int draw, CompensationOptions? compensation = null, string? name = null)
    {
        var (drawn, left) = Halves(draw);
        var plan = Plan.Create(folder.Network, folder.Source,
            Recipe.Uniform(scheme, [Scope.Language], [], algorithm) with { Rotation = folder.Rotation });
        var modules = new DenseModules(tensors);
        var quantized = new QuantizedInMemory(tensors, modules);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        new Quantizer(folder.Network, folder.Source, plan, new QuantizerOptions(long.MaxValue, "", ErrorRows: 0, compensation))
            .Run(plan.NeedsData ? drawn : null, quantized);
        var seconds = clock.Elapsed.TotalSeconds;

        var errors = HeldOutErrors.Of(folder.Network, tensors, modules, quantized, quantized, [.. quantized.Modules.Keys], left);
        var scores = Score(new Weights(quantized, quantized));
        return new AlgorithmScore(
            scheme.Name, name ?? algorithm.Entry().Name, draw, scores.QuestionsRight, scores.Questions, scores.Perplexity!.Value,
            scores.AnswerDivergence!.Mean, scores.TextDivergence!.Mean, errors.Text, errors.Vision, seconds);
    }

    /// <summary>The model before anything is quantized: what its rotation alone changes.</summary>
    public EvalScores Unquantized() => Score(new Weights(tensors));

    public void Dispose()
    {
        folder.Dispose();
        stored.Dispose();
    }

    EvalScores Score(Weights weights) => new Evaluator(new Generator(folder.Network, weights), folder.Prompts, options, original).Run(data);

    (ISampleSource Drawn, ISampleSource Left) Halves(int draw)
    {
        var shuffled = entries.ToArray();
        new Random(draw).Shuffle(shuffled);
        return (new PromptSamples(shuffled[..(shuffled.Length / 2)], folder.Prompts, folder.Path),
            new PromptSamples(shuffled[(shuffled.Length / 2)..], folder.Prompts, folder.Path));
    }
}
