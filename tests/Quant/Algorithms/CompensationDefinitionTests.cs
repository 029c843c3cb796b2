using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>The definition in double against every recorded method: codes are the same.</summary>
public sealed class CompensationDefinitionTests
{
    const double AlphaTolerance = 1e-12; // 8e-14 measured
    const double ObjectiveTolerance = 1e-12; // 6e-14 measured, relative

    public static TheoryData<string> Layers => ["small", "medium", "wide", "singular"];

    [Theory, MemberData(nameof(Layers))]
    public void Codes_and_scales_of_every_method_are_the_recorded_ones(string name)
    {
        var layer = OracleLayer.Open(name);
        var wrong = layer.Methods.Select(method => Compare(layer, method)).OfType<string>().ToList();
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    static string? Compare(OracleLayer layer, OracleMethod method)
    {
        var result = new CompensationDefinition(layer.Defined, method.Grid, method.Options).Quantize();
        var codes = Differing(method, result.Codes);
        if (codes > 0)
            return $"{method.Name}: {codes} codes differ";
        var (scales, zeros) = (method.Scales, method.Zeros);
        for (var i = 0; i < scales.Rows; i++)
            for (var g = 0; g < scales.Columns; g++)
            {
                var scale = result.Scales[i * scales.Columns + g];
                var found = layer.Has(method.Name + ".scale") ? scale.Scale : scale.Stored;
                if (found != (float)scales[i, g] || zeros is not null && scale.Zero != zeros[i, g])
                    return $"{method.Name}: scale {g} of row {i} is {scale}, not {scales[i, g]} with {zeros?[i, g]}";
            }
        if (method.TensorScale is { } tensorScale && tensorScale != result.TensorScale)
            return $"{method.Name}: tensor scale {result.TensorScale}, not {tensorScale}";
        if (method.Alpha is { } alpha && Math.Abs(alpha - result.Alpha) > AlphaTolerance)
            return $"{method.Name}: α = {result.Alpha}, not {alpha}";
        if (method.Mu != result.Mu)
            return $"{method.Name}: μ = {result.Mu}, not {method.Mu}";
        foreach (var (expected, found) in method.Objective.Zip(result.Objective))
            if (Math.Abs(found / expected - 1) > ObjectiveTolerance)
                return $"{method.Name}: objective {found}, not {expected}";
        return null;
    }

    /// <summary>How many codes differ; −0 and 0 are the same, MXFP4 having no rule for them in common.</summary>
    internal static int Differing(OracleMethod method, Matrix codes)
    {
        var (expected, zeroes) = (method.Codes, method.Name.StartsWith("mxfp4", StringComparison.Ordinal));
        var differing = 0;
        for (var i = 0; i < codes.Rows; i++)
            for (var j = 0; j < codes.Columns; j++)
                if (codes[i, j] != expected[i, j] && !(zeroes && ((int)codes[i, j] & 7) == 0 && ((int)expected[i, j] & 7) == 0))
                    differing++;
        return differing;
    }
}
