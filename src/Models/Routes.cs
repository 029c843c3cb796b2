using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>
/// Which experts the tokens of a pass go through, and how much each counts. The rows of all experts together, [rows, …], are those of
/// expert 0 in the order of the tokens, then those of expert 1, and so on.
/// </summary>
public sealed class Routes
{
    readonly int[][] tokens;
    readonly float[][] weights;
    readonly int[] first;

    /// <param name="chosen">The experts of token 0, of token 1, …: as many for each, all different.</param>
    /// <param name="weights">What each of <paramref name="chosen"/> is multiplied with.</param>
    /// <param name="tokens">T.</param>
    /// <param name="experts">Experts there are; some may get no token.</param>
    public Routes(ReadOnlySpan<int> chosen, ReadOnlySpan<float> weights, int tokens, int experts)
    {
        var counts = new int[experts];
        foreach (var expert in chosen)
            counts[expert]++;
        this.tokens = [.. counts.Select(count => new int[count])];
        this.weights = [.. counts.Select(count => new float[count])];
        first = new int[experts];
        for (var expert = 1; expert < experts; expert++)
            first[expert] = first[expert - 1] + counts[expert - 1];

        Array.Clear(counts);
        var perToken = tokens == 0 ? 1 : chosen.Length / tokens;
        for (var i = 0; i < chosen.Length; i++)
        {
            var at = counts[chosen[i]]++;
            (this.tokens[chosen[i]][at], this.weights[chosen[i]][at]) = (i / perToken, weights[i]);
        }
        (TokenCount, Rows) = (tokens, chosen.Length);
    }

    public int Experts => tokens.Length;

    /// <summary>T.</summary>
    public int TokenCount { get; }

    /// <summary>Rows of all experts together.</summary>
    public int Rows { get; }

    /// <summary>The tokens that go through an expert, ascending.</summary>
    public int[] Tokens(int expert) => tokens[expert];

    /// <summary>What the outputs of an expert are multiplied with, token by token.</summary>
    public ReadOnlySpan<float> Weights(int expert) => weights[expert];

    /// <summary>The rows of an expert within the rows of all; storage is shared.</summary>
    /// <param name="all">[<see cref="Rows"/>, n].</param>
    public Tensor Of(Tensor all, int expert) => all.Slice(first[expert], tokens[expert].Length);

    /// <summary>A copy of the rows of the tokens that go through an expert.</summary>
    /// <param name="x">[T, n] F32.</param>
    public Tensor Gather(Tensor x, int expert)
    {
        var rows = Tensor.Empty(tokens[expert].Length, x.Columns);
        for (var i = 0; i < rows.Rows; i++)
            x.Row(tokens[expert][i]).CopyTo(rows.Row(i));
        GC.KeepAlive(x);
        return rows;
    }

    /// <summary>sum[token] += weight · row, for every token of an expert.</summary>
    /// <param name="rows">[tokens of the expert, n] F32.</param>
    /// <param name="sum">[T, n] F32.</param>
    public void Scatter(Tensor rows, int expert, Tensor sum)
    {
        for (var i = 0; i < rows.Rows; i++)
        {
            var to = sum.Row(tokens[expert][i]);
            TensorPrimitives.MultiplyAdd(rows.Row(i), weights[expert][i], to, to);
        }
        GC.KeepAlive(rows);
        GC.KeepAlive(sum);
    }
}
