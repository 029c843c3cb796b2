using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>The F32 solver against every recorded method, within what the recording allows a right F32 implementation.</summary>
public sealed class CompensationOracleTests
{
    public static TheoryData<string> Layers => ["small", "medium", "wide", "singular"];

    [Theory, MemberData(nameof(Layers))]
    public void Every_method_is_within_the_measured_spread_of_F32(string name)
    {
        var layer = OracleLayer.Open(name);
        var wrong = layer.Methods.Select(method => Compare(layer, method)).OfType<string>().ToList();
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    static string? Compare(OracleLayer layer, OracleMethod method)
    {
        var grid = method.Grid;
        var solution = CompensationSolver.Solve(layer.Context, grid, method.Options);
        var rounding = solution.Rounding;
        var (rows, columns) = (layer.Weight.Rows, layer.Weight.Columns);
        var codes = Matrix.Create(rows, columns, (i, j) => grid.FromByte(rounding.Codes[i * columns + j]));
        var values = Matrix.Create(rows, columns, (i, j) => grid.Value((int)codes[i, j], rounding.ScaleOf(i, j)));
        var differing = CompensationDefinitionTests.Differing(method, codes);
        var loss = Math.Abs(layer.Loss(values) / method.Loss - 1);

        // The factors 4, 0.5 % and 2e-3 are those the recording suggests.
        var (allowed, allowedLoss) = (Math.Max(4 * method.Single.Codes, 0.005 * rows * columns), Math.Max(4 * method.Single.Loss, 2e-3));
        return differing <= allowed && loss <= allowedLoss && (method.Mu is null || method.Mu == solution.Mu)
            ? null
            : $"{method.Name}: {differing} codes differ ({allowed} allowed), the loss by {loss:G3} ({allowedLoss:G3}), μ {solution.Mu}";
    }
}
