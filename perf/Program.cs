using System.Globalization;
using Nibble.Perf.Formats;
using Nibble.Perf.Ops;
using Nibble.Perf.Quality;
using Nibble.Perf.Quantize;
using Nibble.Perf.Streaming;

namespace Nibble.Perf;

static class Program
{
    const string Usage = """
        usage: dotnet run -c Release --project perf -- <what>
          gemm               matrix products against this machine's arithmetic peak and read bandwidth
          compensation       GPTQ and its relatives on layers up to 4096 x 11008 against the arithmetic peak
          quantize <folder> [blocks]
                             `best` on a synthetic model of 1.1 billion weights: time per block, peak memory
          formats            number formats: quantizing, decoding and rounding against the read bandwidth
          stream [folder]    a checkpoint of 2.2 GB: peak memory with calibration, speed without against a file copy
          quality [model]    every format on a model with evaluation data (samples/shapes-vlm): the table of the README
          algorithms [model] [format or algorithm ...]
                             every algorithm at 4, 3 and 2 bits over draws of calibration data, likewise
          ablation <model> <draws> [format [variant ...]]
                             `best` without each of its parts, and with other settings
          rotation [model] [draws] [format ...]
                             formats with weights as they are and rotated, rounded to nearest and with `best`
          startup [nibble]   `nibble --help`, of a published executable if one is named
        """;

    static int Main(string[] args)
    {
        switch (args)
        {
            case ["gemm"]:
                MatMulBenchmarks.Run(Console.Out);
                return 0;
            case ["compensation"]:
                SolverBenchmark.Run(Console.Out);
                return 0;
            case ["quantize", var folder]:
                ModelBenchmark.Run(Console.Out, folder, SyntheticModel.Layers);
                return 0;
            case ["quantize", var folder, var blocks] when int.TryParse(blocks, CultureInfo.InvariantCulture, out var count):
                ModelBenchmark.Run(Console.Out, folder, count);
                return 0;
            case ["formats"]:
                FormatBenchmarks.Run(Console.Out);
                return 0;
            case ["stream"]:
                return Stream();
            case ["stream", var folder]:
                return Held(new StreamBenchmark(Console.Out, folder).Run());
            case ["quality"]:
                FormatTable.Run(Console.Out, "samples/shapes-vlm");
                return 0;
            case ["quality", var model]:
                FormatTable.Run(Console.Out, model);
                return 0;
            case ["algorithms"]:
                AlgorithmTable.Run(Console.Out, "samples/shapes-vlm", []);
                return 0;
            case ["algorithms", var model, .. var only]:
                AlgorithmTable.Run(Console.Out, model, only);
                return 0;
            case ["ablation", var model, var draws, .. var only] when int.TryParse(draws, CultureInfo.InvariantCulture, out var count):
                Ablation.Run(Console.Out, model, count, only);
                return 0;
            case ["rotation"]:
                RotationTable.Run(Console.Out, "samples/shapes-vlm", AlgorithmTable.Draws, []);
                return 0;
            case ["rotation", var model]:
                RotationTable.Run(Console.Out, model, AlgorithmTable.Draws, []);
                return 0;
            case ["rotation", var model, var draws, .. var only] when int.TryParse(draws, CultureInfo.InvariantCulture, out var count):
                RotationTable.Run(Console.Out, model, count, only);
                return 0;
            case ["startup"]:
                return Held(StartUp.Run(Console.Out, null));
            case ["startup", var executable]:
                return Held(StartUp.Run(Console.Out, executable));
            default:
                Console.Error.WriteLine(Usage);
                return 2;
        }
    }

    static int Stream()
    {
        var folder = Directory.CreateTempSubdirectory("nibble-stream-").FullName;
        try
        {
            return Held(new StreamBenchmark(Console.Out, folder).Run());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A bound that was missed is a failure.</summary>
    static int Held(bool held) => held ? 0 : 1;
}
