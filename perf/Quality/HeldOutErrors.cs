using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Perf.Quality;

/// <summary>Mean over modules of ‖W·x̃ − Ŵ·x‖² / ‖W·x̃‖² on samples that were not calibrated with, by modality.</summary>
sealed record HeldOutErrors(double Text, double Vision)
{
    /// <summary>x̃ is what enters a module of the original model, x what enters it in the quantized one.</summary>
    /// <param name="modules">Those that were quantized.</param>
    public static HeldOutErrors Of(
        INetwork network, ITensorSource tensors, IModuleSource original, ITensorSource quantizedTensors, IModuleSource quantized,
        IReadOnlyCollection<string> modules, ISampleSource samples)
    {
        var sums = modules.ToDictionary(module => module, _ => new double[2, 2]);
        var passes = Enumerable.Range(0, samples.Count)
            .Select(i => (Before: network.Begin(samples.Load(i)), After: network.Begin(samples.Load(i)))).ToList();
        foreach (var stage in network.Stages)
        {
            var (before, after) = (stage.Load(new Weights(tensors, original)), stage.Load(new Weights(quantizedTensors, quantized)));
            foreach (var pass in passes)
                for (var step = 0; step < before.Steps.Count; step++)
                {
                    for (var group = 0; group < before.Steps[step].Inputs.Count; group++)
                        if (before.Steps[step].Inputs[group].Rows(pass.Before) is { } exact
                            && after.Steps[step].Inputs[group].Rows(pass.After) is { } approximate)
                            foreach (var module in before.Steps[step].Inputs[group].Modules.Where(sums.ContainsKey))
                                Add(sums[module], pass.Before.ImageMask, exact.X, original.Linear(module), approximate.X, quantized.Linear(module));
                    before.Steps[step].Advance(pass.Before);
                    after.Steps[step].Advance(pass.After);
                }
        }
        double Mean(int modality) => sums.Values.Average(sum => sum[modality, 0] / Math.Max(sum[modality, 1], double.Epsilon));
        return new HeldOutErrors(Mean((int)Modality.Text), Mean((int)Modality.Vision));
    }

    static void Add(double[,] sums, bool[]? vision, Tensor exact, ILinearWeight weight, Tensor approximate, ILinearWeight quantized)
    {
        using Tensor y = Tensor.Empty(exact.Rows, weight.Rows), found = Tensor.Empty(exact.Rows, weight.Rows);
        weight.Multiply(exact, y);
        quantized.Multiply(approximate, found);
        for (var row = 0; row < y.Rows; row++)
        {
            var modality = vision is not null && vision[row] ? (int)Modality.Vision : (int)Modality.Text;
            var distance = (double)TensorPrimitives.Distance(y.Row(row), found.Row(row));
            sums[modality, 0] += distance * distance;
            sums[modality, 1] += TensorPrimitives.SumOfSquares<float>(y.Row(row));
        }
    }
}
