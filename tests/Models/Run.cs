using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Tests.Models;

/// <summary>Runs a network the way the streaming quantizer does: loads a stage, uses it, drops it.</summary>
static class Run
{
    /// <summary>The logits of the last token, [1, V], or of all, [T, V].</summary>
    public static Tensor Stages(Golden golden, Sample sample, KvCache? cache, bool lastOnly = true) =>
        Stages(golden.Network, golden.Weights, sample, cache, lastOnly);

    public static Tensor Stages(INetwork network, Weights weights, Sample sample, KvCache? cache = null, bool lastOnly = false)
    {
        var pass = network.Begin(sample, cache);
        pass.LastLogitsOnly = lastOnly;
        foreach (var loader in network.Stages)
            loader.Load(weights).Forward(pass);
        return pass.Logits!;
    }
}
