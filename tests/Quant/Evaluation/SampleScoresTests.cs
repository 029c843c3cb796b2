using System.Text.Json;
using Nibble.Cli;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Quant.Evaluation;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Evaluation;

/// <summary>
/// The scores of samples/shapes-vlm, which Transformers computed in float32 (scores.json): of the model as it is, and with the
/// weights of its language model rounded to nearest.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class SampleScoresTests(SampleModel sample) : IClassFixture<SampleModel>
{
    /// <summary>Perplexity, likelihoods and KL, relative, where the weights are the same numbers: 5.6e-6 measured.</summary>
    const double Same = 2e-5;

    /// <summary>
    /// The same for NVFP4, 4.1e-3 measured: the sample divides a block's peak by 6 and by the tensor scale, ModelOpt and this
    /// engine by their product, so that some block scales (62, its README says) fall to the other side of a tie.
    /// </summary>
    const double UpToTies = 0.01;

    /// <summary>Summed log-likelihoods of options, absolute: 1.1e-5 measured.</summary>
    const double OptionTolerance = 1e-4;

    static readonly JsonElement recorded = ModelScores();

    [Fact]
    public void The_model_scores_what_Transformers_scores()
    {
        var scores = sample.Evaluate(sample.Folder.Generator(), null);
        var expected = recorded.GetProperty("scores").GetProperty("bf16");
        Compare(expected, scores, Same);
        Assert.Equal(expected.GetProperty("vqa_wrong").EnumerateArray().Select(wrong => new WrongAnswer(
            wrong.GetProperty("id").ToString(), wrong.GetProperty("got").GetString()!,
            wrong.GetProperty("answer").GetString()!)), scores.Wrong);

        var options = recorded.GetProperty("multiple_choice_first_20").EnumerateArray().ToList();
        for (var i = 0; i < options.Count; i++)
            Close.Assert([.. options[i].GetProperty("scores").EnumerateArray().Select(score => score.GetDouble())],
                [.. scores.OptionScores[i].Select(score => (float)score)], 0, OptionTolerance,
                $"entry {options[i].GetProperty("id")}");
    }

    [Theory]
    [InlineData("rtn_int4_g128_sym", "int4", Same)]
    [InlineData("rtn_int3_g128_sym", "int3", Same)]
    [InlineData("rtn_int2_g128_asym", "int2", Same)]
    [InlineData("rtn_nvfp4", "w4a16_nvfp4", UpToTies)]
    public void The_rounded_model_scores_what_Transformers_scores(string row, string format, double tolerance)
    {
        var scores = sample.Evaluate(sample.Rounded(format), sample.Folder.Generator());
        var expected = recorded.GetProperty("scores").GetProperty(row);
        Compare(expected, scores, tolerance);
        Near(expected, "kl_answers", scores.AnswerDivergence!.Mean, tolerance);
        Near(expected, "kl_text", scores.TextDivergence!.Mean, tolerance);
    }

    [Fact]
    public void The_checkpoint_that_quantize_writes_scores_what_the_rounded_model_scores()
    {
        using var output = new TemporaryFolder();
        using var log = new StringWriter();
        var code = Program.Run(
            ["quantize", sample.Folder.Path, "--format", "int4", "--algorithm", "rtn", "--overwrite", "-o", output.Path],
            new Terminal(log, log, false, false, false), TestContext.Current.CancellationToken);
        Assert.True(code == ExitCode.Ok, log.ToString());

        using var written = ModelFolder.Open(output.Path);
        var some = sample.Data.Take(15);
        var plain = sample.Folder.Generator();
        Assert.Equal(
            Text(sample.Evaluate(sample.Rounded("int4"), plain, some)),
            Text(sample.Evaluate(written.Generator(), plain, some)));
    }

    /// <summary>The same questions answered right, kind by kind, and likelihoods within a relative tolerance.</summary>
    static void Compare(JsonElement expected, EvalScores scores, double tolerance)
    {
        var counts = recorded.GetProperty("counts");
        Assert.Equal(counts.GetProperty("vqa").GetInt32(), scores.Questions);
        Assert.Equal(counts.GetProperty("multiple_choice").GetInt32(), scores.Choices);
        Assert.Equal(counts.GetProperty("text_tokens").GetInt64(), scores.TextTokens);

        Assert.Equal(expected.GetProperty("vqa_exact_match").GetDouble(), scores.ExactMatch!.Value, 1e-12);
        Assert.Equal(
            expected.GetProperty("vqa_by_kind").EnumerateObject().Select(kind => $"{kind.Name} {kind.Value.GetString()}"),
            scores.ByKind.Select(kind => $"{kind.Kind} {kind.Right}/{kind.Total}"));
        Assert.Equal(expected.GetProperty("multiple_choice").GetDouble(), scores.Choice!.Value, 1e-12);
        Near(expected, "perplexity", scores.Perplexity!.Value, tolerance);
        Near(expected, "mean_nll", scores.MeanNll!.Value, tolerance);
        Near(expected, "answer_nll", scores.AnswerNll!.Value, tolerance);
    }

    static void Near(JsonElement expected, string name, double actual, double tolerance)
    {
        var value = expected.GetProperty(name).GetDouble();
        Assert.True(Math.Abs(actual / value - 1) <= tolerance, $"{name}: {value} expected, got {actual}");
    }

    static string Text(EvalScores scores) => JsonSerializer.Serialize(scores with { Seconds = 0 }, EvalJson.Default.EvalScores);

    static JsonElement ModelScores()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Repository.Path("samples/shapes-vlm/scores.json")));
        return document.RootElement.Clone();
    }
}
