using Nibble.Perf.Formats;
using Nibble.Perf.Ops;

namespace Nibble.Perf;

static class Program
{
    const string Usage = """
        usage: dotnet run -c Release --project perf -- <what>
          gemm    matrix products against this machine's arithmetic peak and read bandwidth
          formats number formats: quantizing, decoding and rounding against the read bandwidth
        """;

    static int Main(string[] args)
    {
        switch (args)
        {
            case ["gemm"]:
                MatMulBenchmarks.Run(Console.Out);
                return 0;
            case ["formats"]:
                FormatBenchmarks.Run(Console.Out);
                return 0;
            default:
                Console.Error.WriteLine(Usage);
                return 2;
        }
    }
}
