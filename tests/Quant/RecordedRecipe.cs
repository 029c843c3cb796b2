using System.Text.Json;
using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Tests.Quant;

/// <summary>The recipe behind a recording, from the algorithm and the preset it names.</summary>
static class RecordedRecipe
{
    public static Recipe Of(JsonElement recording)
    {
        var keyValues = recording.GetProperty("kv").GetString() is { } kv ? Schemes.FindKeyValues(kv) : null;
        var preset = recording.GetProperty("preset").GetString()!;
        if (preset == "kvonly")
            return Recipe.Uniform(null, [Scope.Language], [], Algorithm.Max, keyValues);
        if (preset == "nvfp4_mlp_weight_only")
            return new Recipe([new Rule(new Glob("*mlp*"), Schemes.Find("w4a16_nvfp4")! with { Weight = new NvFp4(32) }, Scope.Language)]);
        if (preset is "nvfp4_mlp_only" or "nvfp4_omlp_only")
            return new Recipe([.. ((string[])["*mlp*", "*o_proj"]).Take(preset == "nvfp4_mlp_only" ? 1 : 2)
                .Select(modules => new Rule(new Glob(modules), Schemes.Find("nvfp4"), Scope.Language))]);
        if (preset is "nvfp4_experts_only" or "mamba_moe_nvfp4_conservative" or "mamba_moe_fp8_aggressive")
            return new Recipe([new Rule(new Glob("*.experts.*"), Schemes.Find(preset.Contains("_fp8_", StringComparison.Ordinal) ? "fp8" : "nvfp4"), Scope.Language)]);
        var (algorithm, options) = Settings(recording.GetProperty("algorithm"));
        if (preset == "w4a8_mxfp4_fp8" && recording.GetProperty("algorithm").ValueKind == JsonValueKind.Null)
            preset += "_dynamic"; // nothing was calibrated
        var scheme = Schemes.Find(preset) ?? FormatPresets.SchemeOf(FormatPresets.All.First(known =>
            known.Aliases.Append(known.Name).Any(name => preset.StartsWith(name, StringComparison.Ordinal))));
        return Recipe.Uniform(scheme, [Scope.Language], [], algorithm, keyValues) with { Options = options };
    }

    static (Algorithm, AlgorithmOptions) Settings(JsonElement algorithm)
    {
        var options = AlgorithmOptions.Default;
        if (algorithm.ValueKind != JsonValueKind.Object)
            return algorithm.GetString() switch
            {
                null or "max" => (Algorithm.Max, options),
                "awq_lite" => (Algorithm.Awq, options),
                "smoothquant" => (Algorithm.SmoothQuant, options),
                var other => throw new ArgumentException($"no algorithm for {other}"),
            };
        var step = Number("alpha_step") ?? options.AwqStep;
        return algorithm.GetProperty("method").GetString() switch
        {
            "awq_lite" => (Algorithm.Awq, options with { AwqStep = step }),
            "awq_clip" => (Algorithm.Awq, options with { Awq = AwqMode.Clip }),
            "awq_full" => (Algorithm.Awq, options with { Awq = AwqMode.Full, AwqStep = step }),
            "smoothquant" => (Algorithm.SmoothQuant, options with { SmoothQuantAlpha = (float)Number("alpha")! }),
            "svdquant" => (Algorithm.SvdQuant, options with { Rank = (int)Number("lowrank")! }),
            "mse" when Number("stop_multiplier") == 1.5 => (Algorithm.Max, options with { Scales = ScaleChoice.FourOverSix }),
            "mse" when algorithm.TryGetProperty("fp8_scale_sweep", out var sweep) && sweep.GetBoolean() =>
                (Algorithm.Max, options with { Scales = ScaleChoice.Sweep }),
            "mse" => (Algorithm.Max, options with { Scales = ScaleChoice.Mse }),
            "gptq" => (Algorithm.Gptq, options),
            "local_hessian" => (Algorithm.Max, options with { Scales = ScaleChoice.LocalHessian }),
            var other => throw new ArgumentException($"no algorithm for {other}"),
        };

        double? Number(string name) => algorithm.TryGetProperty(name, out var value) ? value.GetDouble() : null;
    }
}
