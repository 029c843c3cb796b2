using Nibble.Export.Safetensors;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>Relations every implementation must satisfy, on the definition and on the solver.</summary>
public sealed class CompensationIdentityTests
{
    const double Tolerance = 1e-11; // 1.2e-14 measured

    static readonly UniformGrid grid = UniformGrid.Unsigned(3, 0, symmetric: false);

    [Theory]
    [InlineData("small")]
    [InlineData("singular")]
    [InlineData("medium")]
    public void Moments_and_their_factor_are_the_recorded_ones(string name)
    {
        var layer = OracleLayer.Open(name);
        using var file = SafetensorsFile.Open(Repository.Fixture($"algorithms/{name}/moments.safetensors"));
        var (h, d) = (Sum(layer, part => part.H), Sum(layer, part => part.D));
        var stored = name == "medium" ? 1e-7 : 1e-12; // medium keeps them in F32: 2.5e-8 measured
        Near(OracleLayer.Read(file, "H"), h, stored);
        Near(OracleLayer.Read(file, "D"), d, stored);

        var dead = OracleLayer.Read(file, "dead");
        var lambda = OracleLayer.Read(file, "lambda")[0, 0];
        var damped = Matrix.Create(h.Rows, h.Rows, (i, j) => h[i, j] + (i != j ? 0 : lambda + dead[0, i]));
        var u = damped.InverseFactor();
        Near(OracleLayer.Read(file, "U"), u, stored);
        if (name != "medium")
            Near(OracleLayer.Read(file, "P"), Upper(d * u.Transpose(), 1) * u, Tolerance);

        var product = u.Transpose() * u * damped;
        Near(Matrix.Create(h.Rows, h.Rows, (i, j) => i == j ? 1 : 0), product, Tolerance);

        using var hessian = DampedHessian.Create(OracleLayer.Single(h), 0.01, actOrder: false)!;
        var single = Matrix.Create(h.Rows, h.Rows, (i, j) => hessian.U.Row(i)[j]);
        Near(u, single, 1e-4); // what the recording allows F32 at a damping of 0.01
    }

    [Fact]
    public void The_correction_of_VLM_PTQ_is_the_shift_of_the_optimum_of_a_column_alone()
    {
        // C_j = [D_jF·(H_F)⁻¹]_j with F the columns from j on.
        var layer = OracleLayer.Open("small");
        var (h, d) = (Sum(layer, part => part.H), Sum(layer, part => part.D));
        for (var j = 0; j < h.Rows; j++)
            h[j, j] += 1;
        var u = h.InverseFactor();
        var product = d * u.Transpose();
        for (var j = 0; j < h.Rows; j++)
        {
            var column = FirstColumnOfInverse(Matrix.Create(h.Rows - j, h.Rows - j, (a, b) => h[j + a, j + b]));
            var direct = 0.0;
            for (var k = 0; k < column.Length; k++)
                direct += d[j, j + k] * column[k];
            Assert.Equal(direct, product[j, j] * u[j, j], Tolerance);
        }
    }

    /// <summary>By elimination; the matrix is positive definite and consumed.</summary>
    static double[] FirstColumnOfInverse(Matrix matrix)
    {
        var column = new double[matrix.Rows];
        column[0] = 1;
        for (var pivot = 0; pivot < column.Length; pivot++)
            for (var row = pivot + 1; row < column.Length; row++)
            {
                var factor = matrix[row, pivot] / matrix[pivot, pivot];
                for (var k = pivot; k < column.Length; k++)
                    matrix[row, k] -= factor * matrix[pivot, k];
                column[row] -= factor * column[pivot];
            }
        for (var row = column.Length - 1; row >= 0; row--)
        {
            for (var k = row + 1; k < column.Length; k++)
                column[row] -= matrix[row, k] * column[k];
            column[row] /= matrix[row, row];
        }
        return column;
    }

    [Fact]
    public void Without_a_mismatch_all_are_GPTQ()
    {
        var sample = Sample.Draw(16, 48, 200);
        var zero = new Matrix(48, 48);
        var layer = sample.Defined with { Parts = [.. sample.Defined.Parts.Select(part => part with { D = zero })] };
        var context = sample.Context with
        {
            Inputs = new([.. sample.Context.Inputs.Parts.Select(part => part with { D = OracleLayer.Single(zero) })]),
        };
        var gptq = CompensationOptions.Gptq;
        var expected = new CompensationDefinition(layer, grid, gptq).Quantize().Codes;
        var expectedBytes = CompensationSolver.Solve(context, grid, gptq).Rounding.Codes;
        foreach (var shift in (Shift[])[Shift.Gptaq, Shift.VlmPtq, Shift.Exact])
            foreach (var form in Enum.GetValues<ShiftForm>())
            {
                var options = gptq with { Shift = shift, Form = form, Alpha = 1, Block = 8 };
                Near(expected, new CompensationDefinition(layer, grid, options).Quantize().Codes, 0);
                Assert.Equal(expectedBytes, CompensationSolver.Solve(context, grid, options with { Block = 128 }).Rounding.Codes);
            }
        context = context with { Inputs = new([.. context.Inputs.Parts.Select(part => part with { D = null })]) };
        Assert.Equal(expectedBytes, CompensationSolver.Solve(context, grid, gptq with { Shift = Shift.Exact }).Rounding.Codes);
    }

    [Fact]
    public void With_as_many_tokens_of_each_modality_balanced_is_joint()
    {
        var layer = OracleLayer.Open("small").Defined;
        layer = layer with { Parts = [.. layer.Parts.Select(part => part with { Tokens = 60 })] };
        var joint = new CompensationDefinition(layer, grid, CompensationOptions.Gptq).Quantize();
        var balanced = new CompensationDefinition(
            layer, grid, CompensationOptions.Gptq with { Weighting = HessianWeighting.Balanced }).Quantize();
        Near(joint.Codes, balanced.Codes, 0);
    }

    [Fact]
    public void Sweeps_never_raise_the_objective()
    {
        var result = new CompensationDefinition(
            OracleLayer.Open("small").Defined, grid, CompensationOptions.Gptq with { Sweeps = 5 }).Quantize();
        foreach (var (before, after) in result.Objective.Zip(result.Objective.Skip(1)))
            Assert.True(after <= before * (1 + 1e-12));
    }

    [Fact]
    public void The_error_of_the_output_follows_from_the_moments()
    {
        // tr(Q·H·Qᵀ) − 2·tr(W·(H + D)·Qᵀ) + Σ‖W·x̃‖²/T
        var layer = OracleLayer.Open("small");
        var values = new CompensationDefinition(layer.Defined, grid, CompensationOptions.Gptq).Quantize().Values;
        var (h, d) = (Sum(layer, part => part.H), Sum(layer, part => part.D));
        var energy = layer.Parts.Sum(part => part.OutputEnergy);
        var error = Matrix.Inner(values * h, values) - 2 * Matrix.Inner(layer.Weight * (h + d), values) + energy;
        Assert.Equal(layer.Loss(values), error / energy, Tolerance);
    }

    static Matrix Sum(OracleLayer layer, Func<DefinedPart, Matrix> matrix) => layer.Parts.Select(matrix).Aggregate((a, b) => a + b);

    static Matrix Upper(Matrix a, int diagonal) => Matrix.Create(a.Rows, a.Columns, (i, j) => j - i >= diagonal ? a[i, j] : 0);

    /// <summary>‖expected − actual‖ at most the tolerance times ‖expected‖.</summary>
    static void Near(Matrix expected, Matrix actual, double tolerance)
    {
        var difference = Math.Sqrt(Matrix.Inner(expected - actual, expected - actual) / Matrix.Inner(expected, expected));
        Assert.True(difference <= tolerance, $"{difference:G3} off, {tolerance:G3} allowed");
    }
}
