using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// H + λI and U with UᵀU = (H + λI)⁻¹. An input that was always 0 is dead: its H_jj becomes 1 before λ, a share of the mean diagonal, is
/// taken.
/// </summary>
sealed class DampedHessian : IDisposable
{
    /// <summary>How often the damping is raised, tenfold each time, and what it is raised from at least.</summary>
    const int Raises = 6;

    const double LeastRaised = 1e-4;

    DampedHessian(Tensor h, Tensor u, bool[] dead, int[] order, double damping) =>
        (H, U, Dead, Order, Damping) = (h, u, dead, order, damping);

    /// <summary>[in, in], the columns in their own order.</summary>
    public Tensor H { get; }

    /// <summary>[in, in], rows and columns in the order <see cref="Order"/>.</summary>
    public Tensor U { get; }

    public bool[] Dead { get; }

    /// <summary>Which column comes at each place.</summary>
    public int[] Order { get; }

    /// <summary>What it took, as a share of the mean diagonal.</summary>
    public double Damping { get; }

    /// <summary>The diagonal of H + λI.</summary>
    public float[] Diagonal => [.. Enumerable.Range(0, H.Columns).Select(j => H.Row(j)[j])];

    /// <summary>Null where no damping helps: H is no second moment.</summary>
    /// <param name="h">[in, in]; becomes part of the result.</param>
    /// <param name="actOrder">Largest diagonal first; of equal ones the earlier column.</param>
    public static DampedHessian? Create(Tensor h, double damping, bool actOrder)
    {
        var n = h.Columns;
        var dead = new bool[n];
        var mean = 0.0;
        for (var j = 0; j < n; j++)
        {
            ref var diagonal = ref h.Row(j)[j];
            if (dead[j] = diagonal == 0)
                diagonal = 1;
            mean += diagonal / (double)n;
        }
        var undamped = Enumerable.Range(0, n).Select(j => h.Row(j)[j]).ToArray();
        int[] order = actOrder ? [.. Enumerable.Range(0, n).OrderByDescending(j => undamped[j])] : [.. Enumerable.Range(0, n)];
        var u = Tensor.Empty(h.Shape);
        for (var raise = 0; raise <= Raises; raise++)
        {
            for (var j = 0; j < n; j++)
                h.Row(j)[j] = (float)(undamped[j] + damping * mean);
            Gather(h, order, u);
            if (InverseFactor.Upper(u, u))
                return new(h, u, dead, order, damping);
            damping = Math.Max(10 * damping, LeastRaised);
        }
        u.Dispose();
        h.Dispose();
        return null;
    }

    public void Dispose()
    {
        H.Dispose();
        U.Dispose();
    }

    static void Gather(Tensor h, int[] order, Tensor to)
    {
        for (var i = 0; i < order.Length; i++)
            Columns.Gather(h.Row(order[i]), order, to.Row(i));
    }
}

/// <summary>Columns in another order.</summary>
static class Columns
{
    public static void Gather(ReadOnlySpan<float> row, ReadOnlySpan<int> order, Span<float> to)
    {
        for (var j = 0; j < order.Length; j++)
            to[j] = row[order[j]];
    }

    public static void Scatter(ReadOnlySpan<float> row, ReadOnlySpan<int> order, Span<float> to)
    {
        for (var j = 0; j < order.Length; j++)
            to[order[j]] = row[j];
    }
}
