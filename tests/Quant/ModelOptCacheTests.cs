using Nibble.Export;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// Whole runs with caches whose checkpoints do not say all that ModelOpt 0.47 simulates: that keys are rotated before they are rounded,
/// and that keys and values of the vision tower are rounded too.
/// </summary>
public sealed class ModelOptCacheTests
{
    /// <summary>Logits; 4e-6 measured, and the recording in float32 and in float64 differ by 6e-5.</summary>
    const double LogitTolerance = 1e-3;

    [Fact]
    public void A_run_whose_logits_are_not_kept_writes_what_ModelOpt_exports()
    {
        using var runs = new ModelOptParityTests.Runs();
        new ModelOptParityTests(runs).A_run_writes_what_ModelOpt_exports("vlm", "fp8--kv_fp8_cast");
    }

    [Theory]
    [InlineData("kvonly--kv_nvfp4_rotate")]
    [InlineData("fp8--kv_nvfp4_rotate")]
    [InlineData("nvfp4--kv_nvfp4_rotate")]
    public void With_rotated_keys_the_logits_are_those_of_the_simulation(string recording)
    {
        using var run = new ModelOptRecording("llama", recording);
        var expected = run.RecordedLogits();
        var actual = run.Logits(expected, new Rotated(run.Source, run.Written));
        for (var token = 0; token < expected.Rows; token++)
            Close.Assert(expected.Row(token), actual.Row(token), 0, LogitTolerance, $"token {token}");
    }

    /// <summary>Simulated modules, the keys rotated, which the checkpoint does not say.</summary>
    sealed class Rotated(ITensorSource source, QuantizedCheckpoint written) : IModuleSource
    {
        readonly SimulatedModules simulated = new(source, written);

        public ILinearWeight Linear(string module) => simulated.Linear(module);

        public IKeyValueFilter KeyValues(string attention) => new QuantizedKeyValues(
            Schemes.FindKeyValues("nvfp4_rotate")!, Scale($"{attention}.k_proj.k_scale"), Scale($"{attention}.v_proj.v_scale"));

        float Scale(string tensor) => written.Load(tensor).Span<float>()[0];
    }
}
