using Nibble.Perf.Algorithms;
using Nibble.Perf.Formats;
using Nibble.Perf.Ops;
using Nibble.Perf.Quality;
using Nibble.Perf.Streaming;

namespace Nibble.Perf;

static class Program
{
    const string Usage = """
        usage: dotnet run -c Release --project perf -- <what>
          gemm               matrix products against this machine's arithmetic peak and read bandwidth
          compensation       GPTQ and its relatives on one 4096 x 4096 layer against the arithmetic peak
          formats            number formats: quantizing, decoding and rounding against the read bandwidth
          stream [folder]    a checkpoint of 2.2 GB: peak memory with calibration, speed without against a file copy
          quality [model]    every format on a model with evaluation data (samples/shapes-vlm): the table of the README
          algorithms [model] [format or algorithm ...]
                             every algorithm at 4, 3 and 2 bits over draws of calibration data, likewise
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
                CompensationBenchmarks.Run(Console.Out);
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
