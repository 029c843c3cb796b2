using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>Turns the modules of one stage into codes, once their statistics are complete.</summary>
sealed class StageQuantization
{
    readonly Plan plan;
    readonly StageLoader stage;
    readonly ITensorSource tensors;
    readonly ObservedInputs inputs;
    readonly ObservedKeyValues keyValues;
    readonly StageEqualisation equalisation;
    readonly WeightRounding rounding;
    readonly HashSet<string> norms = [];

    /// <param name="inputs">What modules are multiplied with in the original model.</param>
    /// <param name="moments">The same where inputs or caches are rounded already, if weights or factors are chosen by that.</param>
    public StageQuantization(
        Plan plan, StageLoader stage, ITensorSource tensors, ObservedInputs inputs, ObservedKeyValues keyValues, ObservedInputs moments)
    {
        (this.plan, this.stage, this.tensors, this.inputs, this.keyValues) = (plan, stage, tensors, inputs, keyValues);
        equalisation = new StageEqualisation(plan, stage, tensors, inputs, moments);
        rounding = new WeightRounding(plan, stage, tensors, moments, equalisation);
    }

    /// <exception cref="QuantizationException">A weight is NaN or infinite.</exception>
    public void CheckWeights(IEnumerable<PlannedModule> modules)
    {
        foreach (var module in modules)
            rounding.StoredAmax(module.Weight.Name);
    }

    /// <summary>Writes the codes of a module, and with the first module behind a norm that takes factors the norm.</summary>
    public ModuleReport Quantize(PlannedModule module, WriteBehind writes, Schedule schedule)
    {
        var scheme = module.Scheme!;
        var notes = new List<string>();
        var equalised = StageEqualisation.Has(module);
        using var prepared = rounding.Prepare(module);
        var quantized = rounding.Round(module, prepared.Rest, notes);
        float? inputScale = scheme.NeedsData ? scheme.Activation!.Scale(InputAmax(module)) : null;
        if (equalised)
            notes.Add(equalisation.Own(module).Note);
        if (plan.Recipe.Algorithm == Algorithm.SvdQuant && equalised && module.LowRank == 0)
            notes.Add($"too small for a part of rank {plan.Recipe.Options.Rank}, or fused with a module that is");

        var factors = equalised ? equalisation.Factors(module) : null;
        var packed = new PackedWeight(quantized, scheme.Activation, inputScale ?? 1) { PreQuantScale = factors, LowRank = prepared.LowRank };
        var report = Report(module, prepared, packed, notes);
        if (module.FoldedInto is { } norm && tensors.Find(norm) is not null && norms.Add(norm))
            writes.Write(norm, equalisation.Norm(module));
        writes.Write(new QuantizedModule(module, quantized, inputScale) // last: it takes the codes
        {
            PreQuantScale = module.KeepsPreQuantScale ? factors : null,
            LowRank = prepared.LowRank,
        });
        schedule.Quantized(module.Name);
        return report;
    }

    public KeyValueReport Scales(string attention, WriteBehind writes)
    {
        var report = KeyValueReport.Of(attention, keyValues.Statistics[attention], plan.Recipe.KeyValues!);
        writes.Write(report.Scales(plan.Recipe.KeyValues!));
        return report;
    }

    ModuleReport Report(PlannedModule module, Prepared prepared, PackedWeight packed, List<string> notes)
    {
        var statistics = inputs.Layers.GetValueOrDefault(module.Name);
        return new ModuleReport(
            module.Name, module.Scope.ToString().ToLowerInvariant(), module.Scheme!.Name, module.Rows, module.Columns,
            module.Weight.Bytes, packed.Weight.Bytes + (packed.LowRank?.Bytes ?? 0), Errors.OfWeight(prepared.Matrix, packed),
            Errors.OfOutput(prepared.Matrix, packed, statistics?.Rows(Modality.Text)),
            Errors.OfOutput(prepared.Matrix, packed, statistics?.Rows(Modality.Vision)),
            statistics?.AmaxOf(Modality.Text), statistics?.AmaxOf(Modality.Vision),
            statistics?.Tokens(Modality.Text) ?? 0, statistics?.Tokens(Modality.Vision) ?? 0)
        { Notes = notes };
    }

    /// <summary>Fused modules have the same input; the experts of a layer share a scale.</summary>
    public float InputAmax(PlannedModule module) => StageEqualisation.Has(module) ? equalisation.InputAmax(module)
        : stage.SharingInput(module.Name).Max(name => inputs.Layers.GetValueOrDefault(name) is { } statistics
            ? plan.Recipe.Range.Of(statistics, module.Scheme!.Activation!) : 0);
}
