using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Perf.Algorithms;

/// <summary>
/// One layer of a 7B decoder: each step alone, best of three, then whole methods, once. Processor time, to be run with
/// NIBBLE_THREADS=1.
/// </summary>
static class CompensationBenchmarks
{
    const int Width = 4096;
    const int Tokens = 2 * Width;
    const int Rounds = 3;

    public static void Run(TextWriter output)
    {
        var peak = Probes.Peak(Cpu.Level);
        var rate = 200 * peak.Work / Time(() =>
        {
            for (var i = 0; i < 200; i++)
                peak.Call();
        });
        output.WriteLine($"peak {rate / 1e9:F1} GFLOP/s; {Threads.Count} threads, processor time");
        const double cube = (double)Width * Width * Width;
        using var weight = Random(Width, Width, 1);
        var layer = new LayerContext("layer", weight, new([Part(0), Part(1)]));
        using var h = layer.Inputs.SumH(HessianWeighting.Joint);
        for (var j = 0; j < Width; j++)
            h.Row(j)[j] *= 1.01f;
        using var u = h.Clone();

        void Report(string name, double flops, double seconds) => output.WriteLine(
            $"{name}: {seconds:F2} s" + (flops > 0 ? $", {flops / seconds / 1e9:F1} GFLOP/s, {flops / seconds / rate:F2} of peak" : ""));

        Report("Cholesky", cube / 3, Time(
            () => Cholesky.Factor(u), () => h.Span<float>().CopyTo(u.Span<float>())));
        Report("inverse factor U", 2 * cube / 3, Time(() => InverseFactor.Upper(h, u)));
        using var damped = DampedHessian.Create(h.Clone(), 0.01, actOrder: false)!;
        var grid = Grids.Of(new Int4());
        var fit = new ScaleFit(grid, ScaleSearch.Standard, 1);
        var scales = fit.Rows(weight, null);
        using var running = weight.Clone();
        Report("column loop int4-g128", cube, Time(
            () => new ColumnLoop(damped, null, null, false, null, null, 128)
                .Run(running, new Rounding(grid, Width, Width, scales)),
            () => weight.Span<float>().CopyTo(running.Span<float>())));
        foreach (var format in (WeightFormat[])[new Int4(), new NvFp4()])
        {
            Report($"scale search {format}, weighted", 0,
                Time(() => new ScaleFit(Grids.Of(format), ScaleSearch.Importance, 1e-3f).Rows(weight, damped.Diagonal)));
            foreach (var (name, options) in ((string, CompensationOptions)[])[("GPTQ, no search", CompensationOptions.Gptq with
            {
                Search = ScaleSearch.Standard,
            }), ("GPTQ", CompensationOptions.Gptq), ("GPTAQ", CompensationOptions.Gptaq), ("best", CompensationOptions.Best)])
                Report($"{name} {format}", 0, Once(() => Compensation.Quantize(layer, format, options)));
        }
    }

    static MomentPart Part(int fold)
    {
        using var x = Random(Tokens / 2, Width, 10 + fold);
        var (h, d) = (Tensor.Zeros(Width, Width), Random(Width, Width, 20 + fold));
        MatMul.Gram(x, h);
        foreach (ref var value in h.Span<float>())
            value /= Tokens;
        foreach (ref var value in d.Span<float>())
            value *= 0.01f;
        return new(Modality.Text, fold, h, d, Tokens / 2);
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

    static Tensor Random(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var tensor = Tensor.Empty(rows, columns);
        foreach (ref var value in tensor.Span<float>())
            value = (float)(random.NextDouble() + random.NextDouble() - 1);
        return tensor;
    }
}
