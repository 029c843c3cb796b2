using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>
/// One forward pass of all samples in full precision, a stage at a time: what enters the stages from the first searched one on is kept,
/// and the largest inputs of the searched modules are known afterwards.
/// </summary>
sealed class CalibratedPasses : IDisposable
{
    readonly INetwork network;
    readonly ITensorSource source;
    readonly ISampleSource samples;
    readonly TensorStore store;
    readonly Pass[] passes;
    readonly Dictionary<string, float> inputAmax = [];

    public CalibratedPasses(INetwork network, ITensorSource source, ISampleSource samples, SearchOptions options)
    {
        (this.network, this.source, this.samples) = (network, source, samples);
        store = new TensorStore(options.ActivationBudget, options.SpillFolder);
        passes = new Pass[samples.Count];
    }

    /// <summary>Positions, masks and picture sizes of every sample; <see cref="Pass.Hidden"/> is whatever was put there last.</summary>
    public IReadOnlyList<Pass> Passes => passes;

    /// <summary>Hidden states that enter stage s are at (s, sample).</summary>
    public TensorStore Store => store;

    /// <summary>The largest magnitude that entered a module; 0 where no token reached it.</summary>
    public float InputAmax(string module) => inputAmax.GetValueOrDefault(module);

    /// <param name="first">The first stage whose inputs are kept.</param>
    /// <param name="searched">Whether a module's inputs are looked at.</param>
    /// <exception cref="QuantizationException">An input is not finite.</exception>
    public void Run(int first, Func<string, bool> searched, Effort effort, CancellationToken cancellation)
    {
        var stages = network.Stages;
        for (var i = 0; i < stages.Count; i++)
        {
            using var tensors = new StageTensors(source);
            using var inputs = new ObservedInputs(stages[i].Scope, searched, keptRows: 0);
            var stage = i < stages.Count - 1 ? stages[i].Load(new Weights(tensors)) : null; // what the last one predicts is not asked for here
            for (var sample = 0; sample < passes.Length; sample++)
            {
                cancellation.ThrowIfCancellationRequested();
                var pass = passes[sample] ??= network.Begin(samples.Load(sample));
                var found = pass.Hidden;
                if (stage is not null)
                {
                    Advance(stage, pass, inputs);
                    effort.Add("calibrating", stages[i].Name, Work.Of(stages[i], source));
                }
                if (i >= first && found is not null)
                    Keep(i, sample, found);
                else if (!ReferenceEquals(found, pass.Hidden))
                    found?.Dispose();
            }
            foreach (var module in stages[i].Modules.Where(searched))
                inputAmax[module] = stages[i].SharingInput(module).Max(name => inputs.Layers.GetValueOrDefault(name)?.Amax ?? 0);
        }
    }

    public void Dispose()
    {
        store.Dispose();
        foreach (var pass in passes)
        {
            pass?.ImageFeatures?.Dispose();
            pass?.Hidden?.Dispose();
        }
    }

    /// <summary>Puts the state into the store. A stage that leaves it alone has made something else of it, or is the last.</summary>
    void Keep(int stage, int sample, Tensor found)
    {
        if (ReferenceEquals(found, passes[sample].Hidden))
            passes[sample].Hidden = null!;
        store.Put((stage, sample), found);
    }

    static void Advance(IStage stage, Pass pass, ObservedInputs inputs)
    {
        var found = pass.Hidden;
        foreach (var step in stage.Steps)
        {
            inputs.Observe(step, pass);
            var (hidden, input) = (pass.Hidden, pass.Input);
            step.Run(pass);
            if (!ReferenceEquals(hidden, pass.Hidden) && !ReferenceEquals(hidden, found))
                hidden.Dispose();
            if (!ReferenceEquals(input, pass.Input))
                input?.Dispose();
        }
        pass.ReleasePictures();
    }
}

/// <summary>What a stage costs to run.</summary>
static class Work
{
    public static double Of(StageLoader stage, ITensorSource source) => stage.Modules.Sum(module => (double)(source.Find(module + ".weight")?.Bytes ?? 0));
}
