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
    public static CompensationResult Quantize(LayerContext layer, WeightFormat format, CompensationOptions options) =>
        Quantize([layer], format, options, oneScale: false)[0];

    /// <summary>Whether weights can be rounded to this format one input at a time.</summary>
    public static bool Supports(WeightFormat format) => Grids.Has(format);

    /// <summary>The same for modules with the same inputs, whose factorizations are shared.</summary>
    /// <param name="layers">All with the same <see cref="LayerContext.Inputs"/>.</param>
    /// <param name="oneScale">Whether the scale of a whole matrix must be the same for all.</param>
    public static IReadOnlyList<CompensationResult> Quantize(
        IReadOnlyList<LayerContext> layers, WeightFormat format, CompensationOptions options, bool oneScale)
    {
        foreach (var layer in layers)
        {
            options.Check(layer.Name);
            CheckWeight(layer);
            if (!Supports(format))
                throw new QuantizationException($"{layer.Name}: {format} has no scales that could be chosen row by row");
            if (format.Refuse(layer.Weight.Rows, layer.Weight.Columns) is { } reason)
                throw new QuantizationException($"{layer.Name}: {layer.Weight} cannot be stored as {format}: {reason}");
        }
        CheckInputs(layers[0]);
        using var shared = SharedMoments.Of(layers, options);
        var solvers = layers.Select((layer, place) => new CompensationSolver(layer, Grids.Of(format), shared, place)).ToList();
        var amax = oneScale ? solvers.Max(solver => solver.Amax) : options.SharedAmax;
        var results = new List<CompensationResult>();
        foreach (var (layer, solver) in layers.Zip(solvers))
            using (solver)
                results.Add(Store(layer, format, solver.Solve(amax)));
        return results;
    }

    static CompensationResult Store(LayerContext layer, WeightFormat format, CompensationSolution solution) => new(
        Grids.Store(format, layer.Weight.Rows, layer.Weight.Columns,
            solution.Rounding.Codes, solution.Rounding.Scales, solution.TensorScale),
        solution.Alpha, solution.Mu, solution.Damping, solution.Notes);

    static void CheckWeight(LayerContext layer)
    {
        var (name, weight) = (layer.Name, layer.Weight);
        if (weight.Shape.Rank != 2 || weight.Elements is 0 or > int.MaxValue)
            throw new QuantizationException($"{name}: a matrix [out, in] of less than 2³¹ weights expected, found {weight}");
        WeightQuantizer.AbsMax(weight, name);
    }

    static void CheckInputs(LayerContext layer)
    {
        var (name, weight) = (layer.Name, layer.Weight);
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
