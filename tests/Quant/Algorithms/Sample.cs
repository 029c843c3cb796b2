using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>A drawn layer: correlated inputs of two modalities with outliers of their own, and a mismatch between the two streams.</summary>
sealed class Sample
{
    readonly Matrix x, target;

    Sample(Matrix weight, Matrix x, Matrix original, bool[] vision)
    {
        (Weight, this.x, target) = (weight, x, original * weight.Transpose());
        Defined = new DefinedLayer(weight, OracleLayer.Moments(x, original, target,
            [.. vision.Select(picture => (byte)(picture ? 1 : 0))], [.. vision.Select((_, t) => (byte)(t / 8 % 2))]));
        Context = new LayerContext("drawn", OracleLayer.Single(weight), new InputMoments([.. Defined.Parts.Select(part =>
            new MomentPart(part.Modality, part.Fold, OracleLayer.Single(part.H), OracleLayer.Single(part.D), part.Tokens))]))
        {
            OutputEnergies = [.. Defined.Parts.Select(part => part.OutputEnergy)],
        };
    }

    /// <summary>One that many tests share and none changes.</summary>
    public static Sample Remembered { get; } = Draw(16, 160, 480);

    public Matrix Weight { get; }

    public DefinedLayer Defined { get; }

    public LayerContext Context { get; }

    /// <param name="change">What is done to every input token, after it was drawn.</param>
    public static Sample Draw(int rows, int columns, int tokens, Action<Span<double>>? change = null)
    {
        var weight = From(Support.Draw.Normal(rows * columns, 1), rows, columns);
        var basis = From(Support.Draw.Normal(columns * columns, 2, 1 / Math.Sqrt(columns)), columns, columns);
        var noise = From(Support.Draw.Normal(tokens * columns, 3), tokens, columns);
        var drift = From(Support.Draw.Normal(tokens * columns, 4, 0.1), tokens, columns);
        bool[] vision = [.. Enumerable.Range(0, tokens).Select(t => t % 8 < 6)];
        var original = noise * basis;
        for (var t = 0; t < tokens; t++)
        {
            original[t, vision[t] ? 1 : 2] *= 10;
            change?.Invoke(original.Row(t));
        }
        var x = 0.9 * original + drift;
        for (var t = 0; t < tokens; t++)
            change?.Invoke(x.Row(t));
        return new(weight, x, original, vision);
    }

    /// <summary>‖X·Qᵀ − X̃·Wᵀ‖² / ‖X̃·Wᵀ‖².</summary>
    public double Loss(Matrix values)
    {
        var difference = x * values.Transpose() - target;
        return Matrix.Inner(difference, difference) / Matrix.Inner(target, target);
    }

    /// <summary>‖Q − W‖² / ‖W‖².</summary>
    public double WeightError(Matrix values) =>
        Matrix.Inner(values - Weight, values - Weight) / Matrix.Inner(Weight, Weight);

    static Matrix From(float[] values, int rows, int columns) => Matrix.Create(rows, columns, (i, j) => values[i * columns + j]);
}
