using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Generation;

/// <summary>A network with all its stages loaded.</summary>
public sealed class Generator
{
    // Cached tokens to make room for at once; a longer answer grows the cache.
    const int Headroom = 512;

    readonly INetwork network;
    readonly IStage[] stages, language;

    /// <param name="weights">The root of a checkpoint that fits the network.</param>
    public Generator(INetwork network, Weights weights)
    {
        this.network = network;
        var loaded = network.Stages.Select(loader => (loader.Scope, Stage: loader.Load(weights))).ToArray();
        stages = [.. loaded.Select(entry => entry.Stage)];
        language = [.. loaded.Where(entry => entry.Scope == Scope.Language).Select(entry => entry.Stage)];
    }

    /// <summary>The logits of every token of a sample, [T, V].</summary>
    /// <param name="observe">Gets intermediate results, as <see cref="Pass.Observe"/> says.</param>
    /// <exception cref="ModelException">The sample does not fit the network.</exception>
    public Tensor Logits(Sample sample, Action<string, Tensor>? observe = null, CancellationToken cancellation = default)
    {
        var pass = network.Begin(sample);
        pass.Observe = observe;
        return Run(pass, stages, cancellation);
    }

    /// <summary>Continues a sample token by token; each is computed when it is asked for.</summary>
    /// <exception cref="ModelException">The sample does not fit the network.</exception>
    /// <exception cref="OperationCanceledException">Between two stages.</exception>
    public IEnumerable<int> Generate(Sample sample, GenerationOptions options, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.MaxNewTokens);
        return options.MaxNewTokens == 0 ? [] : Continue(sample, options, cancellation);
    }

    IEnumerable<int> Continue(Sample sample, GenerationOptions options, CancellationToken cancellation)
    {
        var sampler = options.Sampling is null ? null : new Sampler(options.Sampling, options.Seed);
        var context = new List<int>(sample.Ids);
        var cache = NewCache(context.Count, options.MaxNewTokens);
        try
        {
            var (pass, run) = (network.Begin(sample, cache), stages);
            for (var made = 1; ; made++)
            {
                pass.LastLogitsOnly = true;
                using var logits = Run(pass, run, cancellation);
                var next = sampler?.Next(logits.Row(0), context.ToArray()) ?? ArgMax.Apply(logits.Row(0));
                context.Add(next);
                yield return next;
                if (made == options.MaxNewTokens || options.StopTokens.Contains(next))
                    yield break;

                if (network.CanContinue(cache, 1))
                {
                    (pass, run) = (network.Begin(new Sample(next), cache), language);
                    continue;
                }
                cache.Dispose();
                cache = NewCache(context.Count, options.MaxNewTokens - made);
                (pass, run) = (network.Begin(sample with { Ids = [.. context] }, cache), stages);
            }
        }
        finally
        {
            cache.Dispose();
        }
    }

    KvCache NewCache(int tokens, int more) => network.NewCache(checked(tokens + Math.Min(more, Headroom)));

    // Releases each hidden state as soon as the next one is there.
    static Tensor Run(Pass pass, IStage[] stages, CancellationToken cancellation)
    {
        foreach (var stage in stages)
        {
            cancellation.ThrowIfCancellationRequested();
            var before = pass.Hidden;
            stage.Forward(pass);
            if (!ReferenceEquals(before, pass.Hidden))
                before?.Dispose();
        }
        pass.Hidden.Dispose();
        pass.ImageFeatures?.Dispose();
        return pass.Logits!;
    }
}
