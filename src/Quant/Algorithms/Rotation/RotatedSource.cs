using Nibble.Models;
using Nibble.Tensors;
using Nibble.Tensors.Host;
using Convert = Nibble.Tensors.Convert;

namespace Nibble.Quant.Algorithms.Rotation;

/// <summary>
/// A checkpoint with the residual stream and the values of attention in another basis, in which no channel stands out. It computes what
/// the original computes, under the same names, shapes and types: the rotations R1 and R2 of SpinQuant (arXiv:2405.16406, section 3.1;
/// with Hadamard matrices those of QuaRot, arXiv:2404.00456, section 4), which are folded into the weights.
/// </summary>
/// <remarks>
/// The weight of a norm goes into the modules behind it, so that the norm has no direction of its own and lets a rotation pass; a head that
/// was tied to the embeddings is then a tensor of its own. Nothing is kept: a rotated tensor is made anew whenever it is loaded, and
/// whoever loads it releases it.
/// </remarks>
public sealed class RotatedSource : ITensorSource
{
    /// <summary>Rows of a matrix that are turned at a time.</summary>
    const int Rows = 64;

    readonly ITensorSource source;
    readonly IReadOnlyDictionary<string, Turn> turns;

    RotatedSource(ITensorSource source, RotationMap map)
    {
        this.source = source;
        turns = map.Turns;
        UntiesHead = map.NewHead is not null;
        Tensors = map.NewHead is { } head ? [.. source.Tensors.Where(tensor => tensor.Name != head.Name), head] : source.Tensors;
    }

    public IReadOnlyCollection<TensorSpec> Tensors { get; }

    /// <summary>Whether the original's head is its embedding table, and is here a tensor of its own that its configuration must tell of.</summary>
    public bool UntiesHead { get; }

    /// <param name="network">What the checkpoint is; its stages say where they meet the residual stream.</param>
    /// <exception cref="QuantizationException">
    /// The network does not say so, or has norms that a rotation does not pass; or a tensor is missing or not of the expected shape and
    /// type: names it.
    /// </exception>
    public static RotatedSource Create(INetwork network, ITensorSource source) => new(source, RotationMap.Of(network, source));

    public TensorSpec? Find(string name) =>
        turns.TryGetValue(name, out var turn) && source.Find(turn.From) is { } spec ? spec with { Name = name } : source.Find(name);

    /// <summary>The tensor as it is, or a new one in memory of its own.</summary>
    public Tensor Load(string name)
    {
        if (!turns.TryGetValue(name, out var turn))
            return source.Load(name);
        var stored = source.Load(turn.From);
        var result = Tensor.Empty(stored.Shape, stored.DType);
        if (turn.IsOne)
            Narrow.Store(Ones(result), result);
        else if (stored.Shape.Rank == 1)
            TurnBias(stored, turn, result);
        else if (turn.Outputs is null)
            TurnInputs(stored, turn, (rows, start) => Narrow.Store(rows.Span<float>(), result.Slice(start, rows.Rows)));
        else
            TurnOutputs(stored, turn, result);
        stored.Evict(); // of a mapped file
        return result;
    }

    public void Prefetch(string name) => source.Prefetch(turns.TryGetValue(name, out var turn) ? turn.From : name);

    static float[] Ones(Tensor norm)
    {
        var ones = new float[norm.Elements];
        ones.AsSpan().Fill(1);
        return ones;
    }

    static void TurnBias(Tensor stored, Turn turn, Tensor result)
    {
        using var bias = Convert.ToF32(stored);
        turn.Outputs!.TurnRows(bias);
        Narrow.Store(bias.Span<float>(), result);
    }

    void TurnOutputs(Tensor stored, Turn turn, Tensor result)
    {
        using var all = Tensor.Empty(stored.Shape);
        TurnInputs(stored, turn, (rows, start) => rows.Span<float>().CopyTo(all.Slice(start, rows.Rows).Span<float>()));
        turn.Outputs!.TurnColumns(all);
        Narrow.Store(all.Span<float>(), result);
    }

    /// <param name="take">Gets some rows, with the number of the first; on several threads.</param>
    void TurnInputs(Tensor stored, Turn turn, Action<Tensor, int> take)
    {
        var factors = turn.Norm is { } norm ? Floats(norm) : [];
        Threads.For(stored.Rows, Rows, (start, end) =>
        {
            using var rows = Tensor.Empty(end - start, stored.Columns);
            Convert.ToF32(stored, (long)start * stored.Columns, rows.Span<float>());
            turn.Inputs?.TurnRows(rows, factors);
            take(rows, start);
        });
        GC.KeepAlive(stored);
    }

    float[] Floats(string norm)
    {
        var stored = source.Load(norm);
        var floats = new float[stored.Elements];
        Convert.ToF32(stored, 0, floats);
        return floats;
    }
}
