using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// Rounds a module's weights one input at a time and lets the inputs still to come absorb the error: GPTQ, GPTAQ, VLM-PTQ and the exact
/// asymmetric optimum, which differ in what of the error of earlier modules they make up for.
/// </summary>
public static class Compensation
{
    /// <summary>
    /// A pure function of its arguments; the result is the same whatever the number of threads. Where H cannot be inverted the damping
    /// is raised tenfold, six times at most, and then the weights are rounded to nearest under searched scales. So they are where no
    /// token reached the module. Both are in the notes, as are dead inputs and fewer tokens than inputs.
    /// </summary>
    /// <exception cref="QuantizationException">
    /// A shape the format refuses, moments that do not fit the weight, a NaN or an infinity in either, options that exclude each other.
    /// </exception>
    public static CompensationResult Quantize(LayerContext layer, WeightFormat format, CompensationOptions options)
    {
        options.Check(layer.Name);
        Check(layer);
        if (format.Refuse(layer.Weight.Rows, layer.Weight.Columns) is { } reason)
            throw new QuantizationException($"{layer.Name}: {layer.Weight} cannot be stored as {format}: {reason}");
        var solution = CompensationSolver.Solve(layer, Grids.Of(format), options);
        var weight = Grids.Store(format, layer.Weight.Rows, layer.Weight.Columns,
            solution.Rounding.Codes, solution.Rounding.Scales, solution.TensorScale);
        return new(weight, solution.Alpha, solution.Mu, solution.Damping, solution.Notes);
    }

    static void Check(LayerContext layer)
    {
        var (name, weight) = (layer.Name, layer.Weight);
        if (weight.Shape.Rank != 2 || weight.Elements is 0 or > int.MaxValue)
            throw new QuantizationException($"{name}: a matrix [out, in] of less than 2³¹ weights expected, found {weight}");
        WeightQuantizer.AbsMax(weight, name);
        if (layer.Inputs.Parts.Count == 0)
            throw new QuantizationException($"{name}: moments of its inputs expected, found none");
        foreach (var part in layer.Inputs.Parts)
        {
            if (part.Fold is not (0 or 1) || part.Tokens < 0)
                throw new QuantizationException($"{name}: fold 0 or 1 and a count of tokens expected, found {part}");
            CheckMoments(name, part.H, weight.Columns, "H");
            if (part.D is not null)
                CheckMoments(name, part.D, weight.Columns, "D");
        }
    }

    static void CheckMoments(string name, Tensors.Tensor moments, int width, string what)
    {
        if (moments.DType != Tensors.DType.F32 || moments.Shape != new Tensors.Shape(width, width))
            throw new QuantizationException($"{name}: {what} [{width}, {width}] F32 expected, found {moments}");
        for (var row = 0; row < width; row++)
            if (!float.IsFinite(Amax.Of(moments.Row(row))))
                throw new QuantizationException($"{name}: finite moments expected, found a NaN or an infinity in row {row} of {what}");
    }
}
