using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>Turns the modules of one stage into codes, once their statistics are complete.</summary>
sealed class StageQuantization(Plan plan, ITensorSource tensors, ObservedInputs inputs, ObservedKeyValues keyValues)
{
    readonly Dictionary<string, float> weightAmax = [];

    /// <exception cref="QuantizationException">A weight is NaN or infinite.</exception>
    public void CheckWeights(IEnumerable<PlannedModule> modules)
    {
        foreach (var module in modules)
            AmaxOf(module.Weight.Name);
    }

    public ModuleReport Quantize(PlannedModule module, WriteBehind writes, Schedule schedule)
    {
        var scheme = module.Scheme!;
        var statistics = inputs.Layers.GetValueOrDefault(module.Name);
        var weight = tensors.Load(module.Weight.Name);
        float? amax = scheme.Weight.HasTensorScale ? SharedAmax(module) : null;
        var quantized = WeightQuantizer.Quantize(weight, scheme.Weight, amax, module.Weight.Name);
        float? inputScale = scheme.NeedsData ? scheme.Activation!.Scale(InputAmax(module)) : null;

        var packed = new PackedWeight(quantized, scheme.Activation, inputScale ?? 1);
        var report = new ModuleReport(
            module.Name, module.Scope.ToString().ToLowerInvariant(), scheme.Name, module.Rows, module.Columns, module.Weight.Bytes,
            quantized.Bytes, Errors.OfWeight(weight, quantized),
            Errors.OfOutput(weight, packed, statistics?.Rows(Modality.Text)),
            Errors.OfOutput(weight, packed, statistics?.Rows(Modality.Vision)),
            statistics?.AmaxOf(Modality.Text), statistics?.AmaxOf(Modality.Vision),
            statistics?.Tokens(Modality.Text) ?? 0, statistics?.Tokens(Modality.Vision) ?? 0);
        writes.Write(new QuantizedModule(module, quantized, inputScale)); // last: it takes the codes
        schedule.Quantized(module.Name);
        return report;
    }

    public KeyValueReport Scales(string attention, WriteBehind writes)
    {
        var statistics = keyValues.Statistics[attention];
        var format = plan.Recipe.KeyValues!;
        writes.Write(new KeyValueScales(attention, format.Scale(statistics.KeyAmax), format.Scale(statistics.ValueAmax)));
        return new KeyValueReport(attention, statistics.KeyAmax, statistics.ValueAmax);
    }

    /// <summary>The largest magnitude of the weight, or of all weights it is fused with where runtimes want one scale for them.</summary>
    float SharedAmax(PlannedModule module)
    {
        var members = plan.Recipe.Algorithm == Algorithm.Max && module.Scheme!.Weight.FusedModulesShareScale ? module.Group : [module.Name];
        return members.Max(name => AmaxOf(plan.Find(name).Weight.Name));
    }

    float AmaxOf(string weight) => weightAmax.TryGetValue(weight, out var known) ? known
        : weightAmax[weight] = WeightQuantizer.AbsMax(tensors.Load(weight), weight);

    /// <summary>Fused modules have the same input; a module no token reached takes the scale of the format's whole range.</summary>
    float InputAmax(PlannedModule module) => inputs.Layers.GetValueOrDefault(module.Name)?.Amax ?? 0;
}
