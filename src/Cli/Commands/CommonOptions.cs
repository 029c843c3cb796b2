using System.CommandLine;
using Nibble.Cli.Recipes;
using Nibble.Cli.Runs;
using Nibble.Export.Verification;
using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>Arguments that several verbs share, under one name each.</summary>
static class CommonOptions
{
    public static Argument<string> Model() => new("model") { Description = "Folder with config.json and safetensors files." };

    public static Option<bool> Json() => new("--json")
    {
        Description = "Machine-readable output: one object, or JSON lines while a long run is going on.",
    };

    public static Option<string?> Format() => new("--format", "-f") { Description = "Like nvfp4, fp8 or int4_awq; see `nibble formats`." };

    public static Option<string?> KeyValues() => new("--kv")
    {
        Description = "Format of cached keys and values: none (default), fp8, nvfp4, fp8_cast, …; see `nibble formats`.",
    };

    public static Option<string[]> Scope() => new("--scope")
    {
        Description = "Parts to quantize: language (default), projector, vision, all.",
        AllowMultipleArgumentsPerToken = true,
    };

    public static Option<string[]> Exclude() => new("--exclude")
    {
        Description = "Modules to leave as they are, like 'model.layers.0.*' or 're:.*down_proj'.",
        AllowMultipleArgumentsPerToken = true,
    };

    /// <summary>The algorithm and its settings, in the order of <see cref="AlgorithmSettings.Known"/>.</summary>
    public static IReadOnlyList<Option<string?>> Algorithm() => [.. AlgorithmSettings.Known.Select(setting =>
        new Option<string?>(AlgorithmSettings.Option(setting.Name)) { Description = setting.Description })];

    /// <summary>The setting of the same name where there are no others.</summary>
    public static Option<string?> Rotation() => new(AlgorithmSettings.Option(AlgorithmSettings.RotationName))
    {
        Description = AlgorithmSettings.Known.First(setting => setting.Name == AlgorithmSettings.RotationName).Description,
    };

    public static Option<string?> Recipe() => new("--recipe") { Description = "YAML file with rules, instead of --format." };

    public static Option<string?> Calibration() => new("--calibration")
    {
        Description = "JSONL file, folder, or safetensors with input_ids.i. Default: calib.jsonl beside the model.",
    };

    public static Option<int?> Samples() => new("--samples") { Description = "Use at most this many calibration samples." };

    public static Option<string?> Statistics() => new("--stats")
    {
        Description = "Use this file of `nibble calibrate` instead of running samples.",
    };

    public static Option<string> Budget() => new("--activation-budget")
    {
        Description = "Memory for hidden states between blocks; more waits on disk.",
        DefaultValueFactory = _ => "2GiB",
    };

    public static Option<string?> Target() => new("--target")
    {
        Description = "Runtime that must load the checkpoint: vllm, sglang, trtllm, hf. Without it the rules of vllm are checked, " +
            "but a format it does not read is only a warning.",
    };

    /// <summary>The recipe that <c>--format</c>, <c>--kv</c>, <c>--scope</c>, <c>--exclude</c> and the algorithm describe.</summary>
    public static Recipe Uniform(string? format, string? keyValues, string[] scopes, string[] exclude, AlgorithmSettings settings)
    {
        var kv = keyValues is null or RecipeWords.NoCacheFormat ? null : Schemes.FindKeyValues(keyValues)
            ?? throw new UsageException($"--kv {keyValues}: unknown; {Suggestion.For(keyValues, RecipeWords.KeyValueNames)}");
        if (format is null && kv is null)
            throw new UsageException("--format is missing; `nibble formats` lists what there is.");
        var scheme = format is null or "none" ? null : RecipeWords.FindScheme(
            format, settings, problem => new UsageException($"--format {format}: {problem}"));
        return settings.On(Quant.Planning.Recipe.Uniform(scheme,
            scopes.Length == 0 ? [Models.Scope.Language] : scopes.SelectMany(RecipeWords.ParseScope).Distinct(), exclude, keyValues: kv));
    }

    public static TargetChoice ParseTarget(string? name) => new(name switch
    {
        null => Export.Verification.Target.Vllm,
        "vllm" => Export.Verification.Target.Vllm,
        "sglang" => Export.Verification.Target.Sglang,
        "trtllm" => Export.Verification.Target.TensorRtLlm,
        "hf" => Export.Verification.Target.Transformers,
        _ => throw new UsageException($"--target {name}: unknown; {Suggestion.For(name, ["vllm", "sglang", "trtllm", "hf"])}"),
    }, name ?? "vllm", name is not null);
}
