using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>The modules of one stage as each candidate would make them: fused ones share the scales that checkpoints store once.</summary>
sealed class PackedCandidates : IDisposable
{
    readonly Dictionary<(string Module, Scheme Scheme), ILinearWeight> weights = [];

    /// <param name="simulate">Another simulation than the codes that would be written, or null.</param>
    public PackedCandidates(
        StageLoader stage, IReadOnlyList<SearchGroup> groups, ITensorSource tensors, Func<string, float> inputAmax,
        Func<Tensor, Scheme, float, ILinearWeight>? simulate)
    {
        Groups = groups;
        foreach (var group in groups)
        {
            var amax = group.Modules.ToDictionary(module => module.Name,
                module => WeightQuantizer.AbsMax(tensors.Load(module.Weight.Name), module.Weight.Name));
            foreach (var scheme in group.Schemes)
                foreach (var module in group.Modules)
                {
                    var weight = tensors.Load(module.Weight.Name);
                    var inputScale = scheme.NeedsData ? scheme.Activation!.Scale(inputAmax(module.Name)) : 1;
                    var sharing = scheme.Weight.FusedModulesShareScale ? module.Group : stage.SharingWeight(module.Name);
                    var shared = sharing.Max(name => amax[name]);
                    weights.Add((module.Name, scheme), simulate?.Invoke(weight, scheme, inputScale) ?? new PackedWeight(
                        WeightQuantizer.Quantize(weight, scheme.Weight, scheme.Weight.HasTensorScale ? shared : null, module.Weight.Name),
                        scheme.Activation, inputScale));
                }
        }
    }

    /// <summary>Those of the stage that have candidates.</summary>
    public IReadOnlyList<SearchGroup> Groups { get; }

    public ILinearWeight Of(string module, Scheme scheme) => weights[(module, scheme)];

    public void Dispose()
    {
        foreach (var packed in weights.Values.OfType<PackedWeight>())
        {
            packed.Weight.Codes.Dispose();
            packed.Weight.Scales?.Dispose();
        }
    }
}

/// <summary>One group quantized, everything else as it is.</summary>
sealed class OneGroupQuantized(IModuleSource inner, PackedCandidates candidates, SearchGroup group, Scheme scheme) : IModuleSource
{
    public ILinearWeight Linear(string module) =>
        group.Modules.Any(member => member.Name == module) ? candidates.Of(module, scheme) : inner.Linear(module);

    public IKeyValueFilter? KeyValues(string attention) => null;
}
