using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// Whole runs of GPTQ beside ModelOpt's. Codes differ: here scales are of least error, and every module sees what those before it have
/// become. With ModelOpt's scales and inputs the codes are its own, see <see cref="Algorithms.ModelOptGptqTests"/>.
/// </summary>
public sealed class ModelOptCompensatedTests
{
    /// <summary>
    /// The rms error of the logits of our codes over that of ModelOpt's simulation: 0.841 and 0.972 measured. Four tokens are few: a tenth
    /// more damping takes the second above 1.1.
    /// </summary>
    const double LargestRatio = 1.4;

    [Theory, InlineData("int4_gptq"), InlineData("nvfp4_gptq")]
    public void A_run_writes_the_same_tensors_as_ModelOpt_with_about_its_error(string recording)
    {
        using var run = new ModelOptRecording("llama", recording, "compensated", wide: true);
        foreach (var (tensor, ours) in run.SameListing())
            if (tensor.Value[2].GetString() == "source")
                Assert.Equal(Fingerprint.Of(run.Source.Load(tensor.Name)), Fingerprint.Of(ours));
        run.SameConfigs();

        var simulated = run.RecordedLogits();
        var unquantized = run.RecordedUnquantizedLogits(simulated);
        var ratio = ModelOptParityTests.Rms(run.WrittenLogits(simulated), unquantized) / ModelOptParityTests.Rms(simulated, unquantized);
        Assert.InRange(ratio, 0, LargestRatio);
    }
}
