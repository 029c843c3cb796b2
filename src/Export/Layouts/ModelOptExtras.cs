using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>What is stored of a module besides codes and their scales, in the element type the weight had.</summary>
/// <param name="Type">F32, F16 or BF16.</param>
/// <param name="PreQuantScale">Whether there are factors of its inputs.</param>
/// <param name="Rank">Of what is kept beside its codes; 0 for nothing.</param>
sealed record ModelOptExtras(DType Type, bool PreQuantScale, int Rank)
{
    const string Factors = "pre_quant_scale";

    /// <summary>ModelOpt's unified checkpoint leaves these under the names they have inside a quantizer.</summary>
    const string Down = "weight_quantizer._svdquant_lora_a", Up = "weight_quantizer._svdquant_lora_b";

    public static ModelOptExtras Of(PlannedModule module) =>
        new(module.Weight.DType, module.KeepsPreQuantScale, module.LowRank);

    /// <summary>What a checkpoint has beside a module. A tensor that cannot be one of these is found by <see cref="Specs"/>.</summary>
    public static ModelOptExtras Found(string module, Func<string, TensorSpec?> find)
    {
        var (factors, down, up) = (find($"{module}.{Factors}"), find($"{module}.{Down}"), find($"{module}.{Up}"));
        var type = (factors ?? down ?? up)?.DType;
        return new ModelOptExtras(type is DType.F16 or DType.BF16 ? type.Value : DType.F32, factors is not null,
            down is null && up is null ? 0 : down is { Shape.Rank: 2 } && down.Shape[0] is > 0 and <= int.MaxValue
                ? (int)down.Shape[0] : 1);
    }

    public static bool IsExtra(string tensor) => tensor.EndsWith($".{Factors}", StringComparison.Ordinal) || IsLowRank(tensor);

    public static bool IsLowRank(string tensor) =>
        tensor.EndsWith($".{Down}", StringComparison.Ordinal) || tensor.EndsWith($".{Up}", StringComparison.Ordinal);

    /// <summary>The module an extra belongs to.</summary>
    public static string ModuleOf(string tensor) => tensor[..^(tensor.EndsWith($".{Factors}", StringComparison.Ordinal)
        ? Factors.Length + 1 : Down.Length + 1)];

    public IEnumerable<TensorSpec> Specs(string module, long rows, long columns)
    {
        if (PreQuantScale)
            yield return new TensorSpec($"{module}.{Factors}", Type, new Shape(columns));
        if (Rank == 0)
            yield break;
        yield return new TensorSpec($"{module}.{Down}", Type, new Shape(Rank, columns));
        yield return new TensorSpec($"{module}.{Up}", Type, new Shape(rows, Rank));
    }

    /// <summary>The tensors of a finished module.</summary>
    /// <exception cref="ArgumentException">It has something the plan has no place for, or lacks something, or in another shape.</exception>
    public IEnumerable<(string Name, Tensor Tensor)> Tensors(QuantizedModule module)
    {
        Expect(module.Name, "factors of inputs", PreQuantScale, module.PreQuantScale is not null);
        Expect(module.Name, $"a part of rank {Rank}", Rank > 0, module.LowRank is not null);
        foreach (var spec in Specs(module.Name, module.Weight.Rows, module.Weight.Columns))
            yield return (spec.Name, spec.Name.EndsWith(Factors, StringComparison.Ordinal) ? PlainNumbers.Of(spec, module.PreQuantScale!)
                : PlainNumbers.Of(spec, spec.Name.EndsWith(Down, StringComparison.Ordinal) ? module.LowRank!.Down : module.LowRank!.Up));
    }

    /// <summary>[in], or null where there are none.</summary>
    /// <param name="load">A tensor as <see cref="Specs"/> has it.</param>
    public float[]? LoadFactors(string module, long rows, long columns, Func<TensorSpec, Tensor> load)
    {
        if (!PreQuantScale)
            return null;
        var factors = new float[columns];
        var stored = load(Specs(module, rows, columns).First());
        Nibble.Tensors.Convert.ToF32(stored, 0, factors);
        return factors;
    }

    public LowRank? LoadLowRank(string module, long rows, long columns, Func<TensorSpec, Tensor> load) =>
        Rank > 0 && Specs(module, rows, columns).TakeLast(2).ToList() is [var down, var up] ? new LowRank(load(down), load(up)) : null;

    static void Expect(string module, string what, bool planned, bool given)
    {
        if (planned != given)
            throw new ArgumentException($"{module}: {what} {(planned ? "expected, and there are none" : "that the plan has no place for")}",
                nameof(module));
    }
}
