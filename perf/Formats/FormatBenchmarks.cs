using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Perf.Formats;

/// <summary>Every format at the width of a 7B decoder, in processor time: rates count two bytes (a BF16 number) per weight.</summary>
static class FormatBenchmarks
{
    const int Rows = 1024;
    const int Columns = 4096;
    const string Unit = "GB/s as BF16";

    public static void Run(TextWriter output)
    {
        using var one = new Workers(1);
        using var weight = RandomBF16();
        var read = Probes.Read(weight, one);
        var row = new float[Columns];
        Tensors.Convert.ToF32(weight, 0, row);
        var formats = Schemes.All.Select(entry => entry.Scheme.Weight).Distinct().ToArray();
        var activations = Schemes.All.Select(entry => entry.Scheme.Activation).OfType<ActivationFormat>().Distinct();

        Rounds.Run(output, Unit, true, read, [.. formats.Select(format => new Measured(
            $"{format}: quantize a matrix", weight.Bytes, () => WeightQuantizer.Quantize(weight, format).Codes.Dispose()))]);
        Rounds.Run(output, Unit, true, read, [.. formats.Select(format => Encode(format, row))]);
        Rounds.Run(output, Unit, true, read, [.. formats.Select(format => Decode(format, weight))]);
        Rounds.Run(output, Unit, true, read, [.. activations.Select(format => Round(format, row))]);
    }

    static Measured Encode(WeightFormat format, float[] row)
    {
        var (codes, scales) = (new byte[format.CodeBytesPerRow(Columns)], new byte[format.ScaleBytesPerRow(Columns)]);
        var tensorScale = format.TensorScale(0.5f);
        return new($"{format}: encode a row", 2 * Columns, () => format.EncodeRow(row, tensorScale, codes, scales));
    }

    static Measured Decode(WeightFormat format, Tensor weight)
    {
        var quantized = WeightQuantizer.Quantize(weight, format);
        var row = new float[Columns];
        return new($"{format}: decode a matrix", weight.Bytes, () =>
        {
            for (var r = 0; r < Rows; r++)
                quantized.Decode(r, 0, row);
        });
    }

    static Measured Round(ActivationFormat format, float[] row)
    {
        var (token, scale) = ((float[])row.Clone(), format.Scale(0.5f));
        return new($"{format}: round a token", 2 * Columns, () => format.Round(token, scale));
    }

    static Tensor RandomBF16()
    {
        var random = new Random(1);
        var tensor = Tensor.Empty(new Shape(Rows, Columns), DType.BF16);
        foreach (ref var value in tensor.Span<ushort>())
            value = Tensors.Convert.SingleToBF16(random.NextSingle() - 0.5f);
        return tensor;
    }
}
