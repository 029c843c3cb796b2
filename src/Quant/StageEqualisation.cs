using Nibble.Models;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>Factors a search chose for the inputs of one module by itself.</summary>
/// <param name="Inputs">[in], what inputs are multiplied with, as numbers of the weight's type.</param>
/// <param name="InputAmax">The largest input then.</param>
/// <param name="Note">What was chosen, or why nothing was.</param>
sealed record ModuleFactors(float[] Inputs, float InputAmax, string Note);

/// <summary>
/// The modules of one stage with magnitude moved between inputs and weights, as ModelOpt 0.47 exports it: each module by itself first;
/// modules that share their input then take the mean of their factors and their weights follow; the factors of NVFP4 modules may go
/// into the rows of the module before.
/// </summary>
/// <param name="inputs">What modules are multiplied with in the original model.</param>
/// <param name="moments">The same as the search is to see it: where caches are rounded already, else the same once more.</param>
sealed class StageEqualisation(Plan plan, StageLoader stage, ITensorSource tensors, ObservedInputs inputs, ObservedInputs moments)
{
    readonly Dictionary<string, ModuleFactors> own = [];
    readonly Dictionary<string, float[]> common = [];
    readonly Dictionary<string, float> alphas = [];

    /// <summary>Whether a module has factors.</summary>
    public static bool Has(PlannedModule module) => module.Scheme is { PreQuantScale: true };

    /// <summary>What was found for the module by itself.</summary>
    public ModuleFactors Own(PlannedModule module) => own.TryGetValue(module.Name, out var known) ? known
        : own[module.Name] = plan.Recipe.Algorithm == Algorithm.SmoothQuant ? Smooth(module) : Scale(module);

    /// <summary>[in], what the inputs of the module, and of those that share them, are multiplied with.</summary>
    public float[] Factors(PlannedModule module) => common.TryGetValue(module.Group[0], out var known) ? known
        : common[module.Group[0]] = Mean(module);

    /// <summary>
    /// The largest scaled input of the modules that share its scale, each by its own factors: those it is fused with, and all experts of
    /// the layer.
    /// </summary>
    public float InputAmax(PlannedModule module)
    {
        var sharing = stage.SharingInput(module.Name);
        return plan.Modules.Where(other => Has(other) && (module.Group.Contains(other.Name) || sharing.Contains(other.Name)))
            .Max(other => Own(other).InputAmax);
    }

    /// <summary>Whether <see cref="Matrix"/> is more than the weight under the module's own factors.</summary>
    public bool IsRemade(PlannedModule module) => IsResmoothed(module) || Folded(module).Any();

    /// <summary>[out, in] F32: the weight under the final factors, with those of later modules in its rows.</summary>
    public Tensor Matrix(PlannedModule module)
    {
        var factors = Own(module).Inputs;
        var matrix = ChannelScaling.Divide(tensors.Load(module.Weight.Name), factors);
        foreach (var later in Folded(module))
        {
            var rows = Factors(later);
            for (var row = 0; row < matrix.Rows; row++)
                TensorPrimitives.Multiply(matrix.Row(row), rows[row], matrix.Row(row));
        }
        if (IsResmoothed(module))
            for (var row = 0; row < matrix.Rows; row++)
            {
                TensorPrimitives.Multiply(matrix.Row(row), factors, matrix.Row(row));
                TensorPrimitives.Divide(matrix.Row(row), Factors(module), matrix.Row(row));
            }
        GC.KeepAlive(matrix);
        return matrix;
    }

    /// <summary>The weight of the norm the factors go into, times the factors, in its own type.</summary>
    public Tensor Norm(PlannedModule module)
    {
        var stored = tensors.Load(module.FoldedInto!);
        var weight = new float[module.Columns];
        Tensors.Convert.ToF32(stored, 0, weight);
        TensorPrimitives.Multiply(weight, Factors(module), weight);
        return Narrow.ToTensor(weight, stored.Shape, stored.DType);
    }

    /// <summary>The modules whose input is the same, and which therefore share factors.</summary>
    public IEnumerable<PlannedModule> Members(PlannedModule module) =>
        module.Group.Count == 1 ? [module] : plan.Modules.Where(other => module.Group.Contains(other.Name) && Has(other));

    IEnumerable<PlannedModule> Folded(PlannedModule module) => plan.Modules.Where(other => other.FoldedInto == module.Name);

    bool IsResmoothed(PlannedModule module) => !Own(module).Inputs.AsSpan().SequenceEqual(Factors(module));

    float[] Mean(PlannedModule module)
    {
        var members = Members(module).ToList();
        if (members.Count == 1)
            return Own(members[0]).Inputs;
        var sum = new float[module.Columns];
        foreach (var member in members)
            TensorPrimitives.Add(sum, Own(member).Inputs, sum);
        TensorPrimitives.Divide(sum, (float)members.Count, sum);
        return Narrow.Round(sum, module.Weight.DType);
    }

    ModuleFactors Scale(PlannedModule module)
    {
        if (Seen(module) is not { Calls: > 0 } seen)
            return Neutral(module);
        var weight = tensors.Load(module.Weight.Name);
        var found = Awq.Search(seen, weight, module.Scheme!.Weight, plan.Recipe.Options.AwqStep);
        var factors = Narrow.Round(found.PreQuantScale, module.Weight.DType);
        return new ModuleFactors(factors, ChannelScaling.InputAmax(seen.Amax, factors),
            found.Alpha is { } alpha ? $"awq α {alpha:0.###}" : $"awq found no factors: {found.Unsearched}");
    }

    AwqInputs? Seen(PlannedModule module)
    {
        var searched = moments.Layers.GetValueOrDefault(module.Name)?.Awq;
        return inputs.Layers.GetValueOrDefault(module.Name)?.Magnitudes is { } original ? searched?.With(original) : searched;
    }

    ModuleFactors Smooth(PlannedModule module)
    {
        if (inputs.Layers.GetValueOrDefault(module.Name)?.Channels is not { Largest: > 0 } seen)
            return Neutral(module);
        if (!alphas.TryGetValue(module.Group[0], out var alpha))
            alpha = alphas[module.Group[0]] = plan.Recipe.Options.SmoothQuantAlpha ?? SmoothQuantSearch.Best(
                [.. Members(module).Select(member => (member.Scheme!, tensors.Load(member.Weight.Name)))],
                seen.PerChannel, inputs.Layers[module.Name]);
        var factors = Narrow.Round(
            SmoothQuant.Scales(seen.PerChannel, tensors.Load(module.Weight.Name), alpha), module.Weight.DType);
        return new ModuleFactors(factors, ChannelScaling.InputAmax(seen.PerChannel, factors), $"smoothquant α {alpha:0.###}");
    }

    /// <summary>An expert that saw no token may still get what others did, unscaled.</summary>
    ModuleFactors Neutral(PlannedModule module)
    {
        var ones = new float[module.Columns];
        ones.AsSpan().Fill(1);
        return new ModuleFactors(ones, inputs.Amax(stage, module.Name), "no token reached it, so its inputs are not scaled");
    }
}

/// <summary>Numbers rounded to the type of a checkpoint.</summary>
static class Narrow
{
    /// <summary>The same numbers as F32 and F64, else the nearest of the type.</summary>
    public static float[] Round(ReadOnlySpan<float> values, DType type)
    {
        var rounded = values.ToArray();
        for (var i = 0; i < rounded.Length; i++)
            rounded[i] = type switch
            {
                DType.BF16 => Tensors.Convert.BF16ToSingle(Tensors.Convert.SingleToBF16(rounded[i])),
                DType.F16 => (float)(Half)rounded[i],
                _ => rounded[i],
            };
        return rounded;
    }

    /// <param name="type">F32, F16 or BF16.</param>
    public static Tensor ToTensor(ReadOnlySpan<float> values, Shape shape, DType type)
    {
        var tensor = Tensor.Empty(shape, type);
        Store(values, tensor);
        return tensor;
    }

    /// <param name="tensor">F32, F16 or BF16.</param>
    public static void Store(ReadOnlySpan<float> values, Tensor tensor)
    {
        if (tensor.DType == DType.F32)
            values.CopyTo(tensor.Span<float>());
        else if (tensor.DType == DType.BF16)
            Tensors.Convert.ToBF16(values, tensor.Span<ushort>());
        else
            TensorPrimitives.ConvertSaturating(values, tensor.Span<Half>());
        GC.KeepAlive(tensor);
    }
}
