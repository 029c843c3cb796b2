using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Rotation;

/// <summary>What becomes of one tensor: W ← Qoᵀ·(W·diag(γ)·Qi), b ← b·Qo, γ ← 1.</summary>
/// <param name="From">The tensor of the original it is made from.</param>
sealed record Turn(string From)
{
    /// <summary>Whether it is γ: the weight of a norm that has gone into the modules behind it.</summary>
    public bool IsOne { get; init; }

    /// <summary>The norm whose γ goes into the inputs; null for none.</summary>
    public string? Norm { get; init; }

    /// <summary>Qi, of the inputs of a matrix; of a table, of its rows.</summary>
    public HadamardBasis? Inputs { get; init; }

    /// <summary>Qo, of the outputs.</summary>
    public HadamardBasis? Outputs { get; init; }
}

/// <summary>Which tensors of a checkpoint a rotation changes, and how.</summary>
sealed class RotationMap
{
    readonly Dictionary<string, Turn> turns = [];
    readonly INetwork network;
    readonly ITensorSource source;
    readonly HadamardBasis stream;
    readonly int width;

    RotationMap(INetwork network, ITensorSource source)
    {
        (this.network, this.source) = (network, source);
        var table = network.Stages.Select(stage => stage.Residual?.Table).FirstOrDefault(name => name is not null)
            ?? throw Unknown("where its residual stream begins");
        width = checked((int)Expect(table, 2, 1, null));
        stream = HadamardBasis.OfStream(width);
    }

    public IReadOnlyDictionary<string, Turn> Turns => turns;

    /// <summary>The head, where the original's is its embedding table.</summary>
    public TensorSpec? NewHead { get; private set; }

    /// <exception cref="QuantizationException">See <see cref="RotatedSource.Create"/>.</exception>
    public static RotationMap Of(INetwork network, ITensorSource source)
    {
        var map = new RotationMap(network, source);
        foreach (var stage in network.Stages)
            if (stage.Residual is { } use)
                map.Add(use);
            else if (stage.Scope is Scope.Language or Scope.Projector)
                throw map.Unknown($"how {stage.Name} meets the residual stream");
        return map;
    }

    void Add(ResidualUse use)
    {
        if (use.Table is { } table)
            turns.Add(table, new Turn(table) { Inputs = stream });
        foreach (var norm in use.Norms)
            Add(norm, use.TiedTable);
        foreach (var writer in use.Writers)
        {
            Expect($"{writer}.weight", 2, 0, width);
            turns.Add($"{writer}.weight", new Turn($"{writer}.weight") { Outputs = stream });
            AddBias(writer, stream, width);
        }
        if (use.Values is { } values)
            Add(values);
    }

    void Add(NormReaders norm, string? tiedTable)
    {
        var gamma = $"{norm.Norm}.weight";
        Expect(gamma, 1, 0, width);
        if (source.Find($"{norm.Norm}.bias") is { } bias)
            throw new QuantizationException(
                $"{bias.Name}: a norm with a bias is no RMSNorm, and the residual stream cannot be rotated through it; leave --rotation out.");
        turns.Add(gamma, new Turn(gamma) { IsOne = true });
        foreach (var reader in norm.Readers)
        {
            var (name, from) = ($"{reader}.weight", tiedTable ?? $"{reader}.weight");
            Expect(from, 2, 1, width);
            turns.Add(name, new Turn(from) { Norm = gamma, Inputs = stream });
            if (tiedTable is not null)
                NewHead = source.Find(from)! with { Name = name };
        }
    }

    /// <summary>Behind what the residual stream asks of the two modules: their other sides.</summary>
    void Add(ValuePath values)
    {
        var heads = HadamardBasis.OfHeads(values.HeadWidth);
        var (producer, consumer) = ($"{values.Producer}.weight", $"{values.Consumer}.weight");
        var rows = Expect(producer, 2, 0, null, multipleOf: values.HeadWidth);
        Expect(consumer, 2, 1, null, multipleOf: values.HeadWidth);
        turns[producer] = turns[producer] with { Outputs = heads };
        AddBias(values.Producer, heads, rows);
        turns[consumer] = turns[consumer] with { Inputs = heads };
    }

    void AddBias(string module, HadamardBasis outputs, long size)
    {
        var name = $"{module}.bias";
        if (source.Find(name) is null)
            return;
        Expect(name, 1, 0, size);
        turns.Add(name, new Turn(name) { Outputs = outputs });
    }

    /// <summary>Checks that a tensor is there and can be rotated.</summary>
    /// <param name="axis">The dimension that is asked about.</param>
    /// <param name="size">What it has to be; null for any.</param>
    /// <returns>The size of that dimension.</returns>
    long Expect(string name, int rank, int axis, long? size, int multipleOf = 1)
    {
        var spec = source.Find(name) ?? throw new QuantizationException($"{name}: needed to rotate the model; the checkpoint has no such tensor.");
        if (spec.DType is not (DType.F32 or DType.F16 or DType.BF16))
            throw new QuantizationException($"{name}: F32, F16 or BF16 expected to rotate it; found {spec.DType.Name()}.");
        if (spec.Shape.Rank != rank || spec.Shape[axis] != (size ?? spec.Shape[axis]) || spec.Shape[axis] % multipleOf != 0)
            throw new QuantizationException($"{name}: {rank} dimensions expected, number {axis + 1} " +
                $"{(size is null ? $"a multiple of {multipleOf}" : $"being {size}")}, to rotate it; found {spec.Shape}.");
        return spec.Shape[axis];
    }

    QuantizationException Unknown(string what) =>
        new($"{network.ModelType}: it is not known {what}, so it cannot be rotated; leave --rotation out.");
}
