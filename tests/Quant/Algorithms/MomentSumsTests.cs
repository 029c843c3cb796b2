using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>Moments summed row by row against their definition in double.</summary>
public sealed class MomentSumsTests
{
    /// <summary>Of the largest element; 4e-7 measured.</summary>
    const double Tolerance = 2e-6;

    const int Samples = 5, Width = 19;

    [Theory]
    [InlineData("gptq")]
    [InlineData("gptaq")]
    [InlineData("vlm-ptq")]
    [InlineData("best")]
    [InlineData("text")]
    public void Parts_are_what_their_definition_says(string name)
    {
        var options = name switch
        {
            "gptq" => CompensationOptions.Gptq,
            "gptaq" => CompensationOptions.Gptaq,
            "vlm-ptq" => CompensationOptions.VlmPtq,
            "best" => CompensationOptions.Best,
            _ => CompensationOptions.Best with { TextShare = 0.8 },
        };
        var rows = Rows(tokensOfSample: 263); // more than are multiplied at once, and a remainder
        var text = rows.Count(row => row.Modality == Modality.Text);
        using var sums = new MomentSums(Width, options, text, rows.Count - text);
        foreach (var sample in rows.GroupBy(row => row.Sample))
            sums.Add(Matrix([.. sample.Select(row => row.X)]), Matrix([.. sample.Select(row => row.Original)]),
                row => sample.ElementAt(row).Modality, sample.Key);
        using var moments = sums.Finish();

        Assert.Equal(name switch { "gptq" or "gptaq" => 1, _ => 2 }, moments.Parts.Count);
        Assert.Equal(rows.Count, moments.Tokens);
        foreach (var part in moments.Parts)
        {
            var own = rows.Where(row => (part.Modality is null || row.Modality == part.Modality)
                && (name is not ("best" or "text") || row.Sample % 2 == part.Fold)).ToList();
            Assert.Equal(own.Count, part.Tokens);
            double Weight(Row row) => name is not ("best" or "text") ? 1
                : rows.Count * (row.Modality == Modality.Text ? options.TextShare / text : (1 - options.TextShare) / (rows.Count - text));
            Check(part.H, (i, j) => own.Sum(row => Weight(row) * row.X[i] * row.X[j]) / rows.Count);
            if (name == "gptq")
                Assert.Null(part.D);
            else
                Check(part.D!, (i, j) => own.Sum(row => Weight(row) * ((double)row.Original[i] - row.X[i]) * row.X[j]) / rows.Count);
        }
    }

    [Fact]
    public void Weights_on_the_way_in_are_weights_of_the_parts()
    {
        var options = CompensationOptions.Best with { TextShare = 0.7 };
        var rows = Rows(tokensOfSample: 40);
        var text = rows.Count(row => row.Modality == Modality.Text);
        using var weighted = new MomentSums(Width, options, text, rows.Count - text);
        using var apart = new MomentSums(Width, options with { Search = ScaleSearch.Modality }, text, rows.Count - text);
        foreach (var sample in rows.GroupBy(row => row.Sample))
            foreach (var sums in (MomentSums[])[weighted, apart])
                sums.Add(Matrix([.. sample.Select(row => row.X)]), Matrix([.. sample.Select(row => row.Original)]),
                    row => sample.ElementAt(row).Modality, sample.Key);
        using InputMoments once = weighted.Finish(), later = apart.Finish();
        Assert.Equal(4, later.Parts.Count);
        var (expected, found) = (later.SumH(options), once.SumH(weighted.Options));
        Check(found, (i, j) => expected.Row(i)[j]);
        (expected, found) = (later.SumD(options)!, once.SumD(weighted.Options)!);
        Check(found, (i, j) => expected.Row(i)[j]);
    }

    sealed record Row(int Sample, Modality Modality, float[] X, float[] Original);

    static List<Row> Rows(int tokensOfSample)
    {
        var random = new Random(7);
        float[] Draw() => [.. Enumerable.Range(0, Width).Select(_ => (float)(random.NextDouble() - 0.4))];
        return [.. Enumerable.Range(0, Samples * tokensOfSample).Select(i =>
            new Row(i / tokensOfSample, random.Next(4) == 0 ? Modality.Text : Modality.Vision, Draw(), Draw()))];
    }

    static Tensor Matrix(float[][] rows) => Tensor.From([.. rows.SelectMany(row => row)], rows.Length, Width);

    static void Check(Tensor found, Func<int, int, double> expected)
    {
        var largest = Enumerable.Range(0, Width).Max(i => Math.Abs(expected(i, i)));
        for (var i = 0; i < Width; i++)
            for (var j = 0; j < Width; j++)
                Assert.Equal(expected(i, j), found.Row(i)[j], Tolerance * largest);
    }
}
