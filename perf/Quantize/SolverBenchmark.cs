using Nibble.Quant;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Perf.Quantize;

/// <summary>
/// Layers of a 7B decoder, and smaller ones to see how the cost grows: each step of a compensation alone, best of a few, then whole
/// methods, once. Processor time, to be run with NIBBLE_THREADS=1.
/// </summary>
static class SolverBenchmark
{
    const int Rounds = 3;

    /// <summary>Columns between two trailing updates.</summary>
    const int Block = 128;

    public static void Run(TextWriter output)
    {
        output.WriteLine($"{Threads.Count} threads, processor time");
        new Layer(TextWriter.Null, 512, 512).Run(); // so that no small layer pays for the compiler
        foreach (var (rows, columns) in ((int, int)[])[(1024, 1024), (2048, 2048), (4096, 4096), (4096, 11008)])
            new Layer(output, rows, columns).Run();
    }

    /// <summary>Of one thread at this moment.</summary>
    static double Peak()
    {
        var peak = Probes.Peak(Cpu.Level);
        return 200 * peak.Work / Time(() =>
        {
            for (var i = 0; i < 200; i++)
                peak.Call();
        });
    }

    static double Time(Action call, Action? before = null)
    {
        var best = double.PositiveInfinity;
        for (var round = 0; round < Rounds; round++)
        {
            before?.Invoke();
            best = Math.Min(best, Once(call));
        }
        return best;
    }

    static double Once(Action call)
    {
        var start = Environment.CpuUsage.TotalTime;
        call();
        return (Environment.CpuUsage.TotalTime - start).TotalSeconds;
    }

    /// <summary>One layer [rows, columns], calibrated with twice as many tokens as it has inputs.</summary>
    sealed class Layer(TextWriter output, int rows, int columns)
    {
        readonly double rate = Peak();

        readonly Tensor weight = Random(rows, columns, 1);
        readonly LayerContext context = new($"{rows}x{columns}", Random(rows, columns, 1), new([Part(columns, 0), Part(columns, 1)]));

        public void Run()
        {
            output.WriteLine($"\n{rows} x {columns}; multiply-add peak {rate / 1e9:F1} GFLOP/s, {Cpu.Level}");
            Steps();
            foreach (var format in columns > 4096 ? (WeightFormat[])[new Int4()] : [new Int4(), new NvFp4()])
                foreach (var (name, options) in ((string, CompensationOptions)[])
                    [("gptq", CompensationOptions.Gptq), ("gptaq", CompensationOptions.Gptaq), ("best", CompensationOptions.Best)])
                    Report($"{name} {format}, everything", 0, Once(() => Compensation.Quantize(context, format, options)));
            output.WriteLine($"peak resident set of the process {ProcessMemory.PeakBytes >> 20} MiB; one matrix of moments is " +
                $"{(long)columns * columns * sizeof(float) >> 20} MiB");
            weight.Dispose();
            context.Inputs.Dispose();
        }

        void Steps()
        {
            double cube = Math.Pow(columns, 3), loop = (double)rows * columns * columns;
            using var h = context.Inputs.SumH(CompensationOptions.Gptq);
            for (var j = 0; j < columns; j++)
                h.Row(j)[j] *= 1.01f;
            using var u = h.Clone();
            Report("Cholesky", cube / 3, Time(() => Cholesky.Factor(u), () => h.Span<float>().CopyTo(u.Span<float>())));
            Report("U, Cholesky and inverse", 2 * cube / 3, Time(() => InverseFactor.Upper(h, u)));

            using var damped = DampedHessian.Create(h.Clone(), 0.01, actOrder: false)!;
            using var running = weight.Clone();
            using var errors = Random(rows, Block, 3);
            var blocks = columns / Block;
            Report("trailing updates of the column loop", (double)rows * Block * Block * blocks * (blocks - 1), Time(() => Trailing(errors, damped.U, running)));
            var grid = Grids.Of(new Int4());
            var scales = new ScaleFit(grid, ScaleSearch.Standard, 1).Rows(weight, null);
            Report("column loop int4-g128, updates included", loop, Time(
                () => new ColumnLoop(damped, null, null, false, null, null, Block).Run(running, new Rounding(grid, rows, columns, scales)),
                () => weight.Span<float>().CopyTo(running.Span<float>())));
            Report("scale search int4-g128, weighted", 0,
                Time(() => new ScaleFit(grid, ScaleSearch.Importance, 1).Rows(weight, damped.Diagonal)));
        }

        void Trailing(Tensor errors, Tensor u, Tensor target)
        {
            for (var start = 0; start + Block < columns; start += Block)
                BlockProduct.Add(errors, new Block(u, start, start + Block, Block, columns - start - Block),
                    new Block(target, 0, start + Block, rows, columns - start - Block));
        }

        void Report(string name, double flops, double seconds) => output.WriteLine($"  {name,-42} {seconds,8:F3} s"
            + (flops > 0 ? $" {flops / seconds / 1e9,8:F1} GFLOP/s {flops / seconds / rate,6:F2} of peak" : ""));
    }

    static MomentPart Part(int width, int fold)
    {
        using var x = Random(width, width, 10 + fold);
        var (h, d) = (Tensor.Zeros(width, width), Random(width, width, 20 + fold));
        MatMul.Gram(x, h);
        foreach (ref var value in h.Span<float>())
            value /= 2 * width;
        foreach (ref var value in d.Span<float>())
            value *= 0.01f;
        return new(Modality.Text, fold, h, d, width);
    }

    static Tensor Random(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var tensor = Tensor.Empty(rows, columns);
        foreach (ref var value in tensor.Span<float>())
            value = (float)(random.NextDouble() + random.NextDouble() - 1);
        return tensor;
    }
}
