using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// The input rows of some modules in the quantized model, rounded as the module will round them, and the same tokens' rows in the original
/// model. Where the original model routes a token elsewhere its row is the quantized one, so that nothing is made up for.
/// </summary>
sealed class PairedRows : IDisposable
{
    readonly List<Tensor> owned = [];

    public PairedRows(InputRows quantized, InputRows? original, Func<Tensor, Tensor> round)
    {
        Own(quantized.X, quantized.Tokens is not null);
        X = round(quantized.X);
        Own(X, !ReferenceEquals(X, quantized.X));
        if (original is not { } rows)
            return;
        Own(rows.X, rows.Tokens is not null);
        Original = rows.Tokens is null ? rows.X : Own(Aligned(X, quantized.Tokens!, rows), true);
    }

    /// <summary>[rows, in].</summary>
    public Tensor X { get; }

    /// <summary>[rows, in], or null.</summary>
    public Tensor? Original { get; }

    public void Dispose()
    {
        foreach (var tensor in owned)
            tensor.Dispose();
    }

    Tensor Own(Tensor tensor, bool ours)
    {
        if (ours)
            owned.Add(tensor);
        return tensor;
    }

    static Tensor Aligned(Tensor x, int[] tokens, InputRows original)
    {
        var places = original.Tokens!.Select((token, row) => (token, row)).ToDictionary(pair => pair.token, pair => pair.row);
        var aligned = x.Clone();
        for (var row = 0; row < tokens.Length; row++)
            if (places.TryGetValue(tokens[row], out var place))
                original.X.Row(place).CopyTo(aligned.Row(row));
        GC.KeepAlive(original.X);
        return aligned;
    }
}
