using Nibble.Models;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// GPTQ with moments an earlier run gathered: those of the original model's inputs as they come, where a run over data takes the inputs
/// the modules before leave, rounded as the module rounds them.
/// </summary>
sealed class StoredCompensation(Plan plan, StageLoader stage, ITensorSource tensors, ObservedInputs inputs)
{
    readonly Dictionary<string, CompensationResult> results = [];

    /// <summary>What has become of a module; modules that are fused are solved together. Asked for once.</summary>
    public CompensationResult Take(PlannedModule module)
    {
        if (!results.ContainsKey(module.Name))
            Solve([.. plan.Quantized.Where(other => module.Group.Contains(other.Name) && other.Scheme == module.Scheme)]);
        results.Remove(module.Name, out var result);
        return result!;
    }

    void Solve(List<PlannedModule> fused)
    {
        using var moments = Moments(fused[0]);
        var layers = fused.Select(module => new LayerContext(module.Name, tensors.Load(module.Weight.Name), moments)).ToList();
        var format = fused[0].Scheme!.Weight;
        var oneScale = format.FusedModulesShareScale || format.HasTensorScale && stage.SharingWeight(fused[0].Name).Count > 1;
        foreach (var (module, result) in fused.Zip(Compensation.Quantize(layers, format, CompensationOptions.Gptq, oneScale)))
            results[module.Name] = result;
    }

    InputMoments Moments(PlannedModule module)
    {
        var parts = new List<MomentPart>();
        var statistics = inputs.Layers.GetValueOrDefault(module.Name);
        var total = statistics is null ? 0 : statistics.Tokens(Modality.Text) + statistics.Tokens(Modality.Vision);
        foreach (var modality in Enum.GetValues<Modality>())
            for (var fold = 0; fold < InputStatistics.Folds; fold++)
                if (statistics?.MomentsOf(modality, fold) is { Tokens: > 0 } sums)
                    parts.Add(new MomentPart(modality, fold, Mean(sums.Sums, total), null, sums.Tokens));
        if (parts.Count == 0)
            parts.Add(new MomentPart(null, 0, Tensor.Zeros(module.Columns, module.Columns), null, 0));
        return new InputMoments(parts);
    }

    static Tensor Mean(Tensor sums, long tokens)
    {
        var mean = Tensor.Empty(sums.Shape);
        for (var row = 0; row < sums.Rows; row++)
            TensorPrimitives.Divide(sums.Row(row), tokens, mean.Row(row));
        return mean;
    }
}
