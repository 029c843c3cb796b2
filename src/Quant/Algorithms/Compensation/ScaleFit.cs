using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>Searches the scales of groups: the first candidate with the least Σ h·|w − q|ᵖ, in F32.</summary>
sealed class ScaleFit(Grid grid, ScaleSearch search, float tensorScale)
{
    public float TensorScale => tensorScale;

    /// <summary>The scales of a whole matrix, [out · groups], rows in parallel.</summary>
    /// <param name="importance">h of each input, or null.</param>
    public GroupScale[] Rows(Tensor weight, float[]? importance)
    {
        var (columns, group) = (weight.Columns, grid.GroupOf(weight.Columns));
        var groups = columns / group;
        var scales = new GroupScale[weight.Rows * groups];
        Threads.For(weight.Rows, 1, (start, end) =>
        {
            var buffer = new float[group];
            for (var row = start; row < end; row++)
                for (var g = 0; g < groups; g++)
                    scales[row * groups + g] = Group(weight.Row(row).Slice(g * group, group),
                        importance is null ? [] : importance.AsSpan(g * group, group), buffer);
        });
        return scales;
    }

    /// <param name="buffer">As long as the group.</param>
    public GroupScale Group(ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, Span<float> buffer)
    {
        var range = new WeightRange(
            Math.Min(0, TensorPrimitives.Min(weights)), Math.Max(0, TensorPrimitives.Max(weights)));
        var best = grid.Standard(range, tensorScale);
        if (search == ScaleSearch.Standard)
            return best;
        var least = float.PositiveInfinity;
        for (var index = 0; index < grid.Candidates; index++)
        {
            var candidate = grid.Candidate(range, tensorScale, index);
            grid.Round(weights, candidate, buffer);
            var error = Error(weights, importance, buffer);
            if (error < least)
                (best, least) = (candidate, error);
        }
        return best;
    }

    float Error(ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, Span<float> rounded)
    {
        TensorPrimitives.Subtract(rounded, weights, rounded);
        if (!importance.IsEmpty)
        {
            TensorPrimitives.Multiply(rounded, rounded, rounded);
            return TensorPrimitives.Dot(rounded, importance);
        }
        if (grid.SearchPower == 2)
            return TensorPrimitives.SumOfSquares<float>(rounded);
        TensorPrimitives.Abs(rounded, rounded);
        TensorPrimitives.Pow(rounded, (float)grid.SearchPower, rounded);
        return TensorPrimitives.Sum<float>(rounded);
    }
}
