using Nibble.Cli;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Recipes as YAML files.</summary>
public sealed class RecipeFileTests
{
    static string Plan(string yaml, int code = ExitCode.Ok, params string[] told)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("recipe.yaml"), yaml);
        string[] arguments = ["plan", Models.Text, "--recipe", folder.In("recipe.yaml"), "--json"];
        if (code == ExitCode.Ok)
            return string.Join(' ', CommandRun.Good(arguments).Json().GetProperty("modules").EnumerateArray()
                .Select(module => $"{module.GetProperty("name").GetString()}={module.GetProperty("scheme").GetString() ?? "-"}"));
        if (code == ExitCode.Usage)
            return CommandRun.Refused(code, told, arguments).Error;
        var run = CommandRun.Of(arguments);
        Assert.Equal(code, run.Code);
        Assert.All(told, word => Assert.Contains(word, run.Output, StringComparison.Ordinal));
        return run.Output;
    }

    [Fact]
    public void The_last_rule_that_matches_decides()
    {
        var plan = Plan("""
            algorithm: max
            kv: fp8
            rules:
              - { scope: language, format: nvfp4 }
              - { modules: "*.mlp.down_proj", format: fp8 }
              - { modules: "model.layers.0.*", format: skip }
            """);
        Assert.Contains("model.layers.0.mlp.down_proj=-", plan, StringComparison.Ordinal);
        Assert.Contains("model.layers.1.mlp.down_proj=fp8", plan, StringComparison.Ordinal);
        Assert.Contains("model.layers.1.mlp.up_proj=nvfp4", plan, StringComparison.Ordinal);
        Assert.Contains("lm_head=-", plan, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rule_may_take_the_head_in_again() =>
        Assert.Contains("lm_head=int8_wo", Plan("rules: [{modules: lm_head, format: int8_wo}]"), StringComparison.Ordinal);

    [Theory]
    [InlineData("rule: []", "line 1", "'rules'")]
    [InlineData("rules:\n- {module: '*', format: fp8}", "line 2", "'modules'")]
    [InlineData("rules:\n- {modules: '*', format: nvpf4}", "line 2", "'nvfp4'")]
    [InlineData("rules:\n- {modules: '*', format: int3}", "line 2", "measuring only")]
    [InlineData("rules:\n- {modules: '*'}", "line 2", "needs a format")]
    [InlineData("rules:\n- {scope: langauge, format: fp8}", "line 2", "'language'")]
    [InlineData("kv: fp7\nrules: []", "line 1", "'fp8'")]
    [InlineData("algorithm: gtpq", "line 1", "'gptq'")]
    [InlineData("scales: sweeep", "line 1", "'sweep'")]
    [InlineData("awq: half", "line 1", "lite")]
    [InlineData("rotation: hadamart", "line 1", "'hadamard'")]
    [InlineData("rank: 3.5", "line 1", "whole number")]
    [InlineData("smoothquant_alpha: much", "line 1", "a number expected")]
    [InlineData("algorithm: awq\npreset: fast", "recipe.yaml", "exclude each other")]
    [InlineData("algorithm: gptq\nrules:\n- {format: int4_awq}", "recipe.yaml", "contradicts")]
    [InlineData("rules:\n- {format: int4_awq}\n- {format: nvfp4_svdquant}", "recipe.yaml", "one algorithm")]
    [InlineData("rules:\n- fp8", "line 2", "mapping")]
    [InlineData("- fp8", "recipe.yaml", "mapping")]
    [InlineData("rules: [", "recipe.yaml", "line")]
    [InlineData("", "recipe.yaml", "mapping")]
    [InlineData("rules:\n- {modules: 're:(', format: fp8}", "recipe.yaml", "re:(")]
    public void A_mistake_is_found_with_its_line(string yaml, string where, string told) => Plan(yaml, ExitCode.Usage, where, told);

    [Fact]
    public void A_pattern_that_matches_nothing_is_an_error() =>
        Plan("rules: [{format: fp8}, {modules: model.layers.9.*, format: skip}]", ExitCode.BadInput, "model.layers.9.*", "matches no module");

    [Fact]
    public void Fused_modules_need_one_format() =>
        Plan("rules: [{format: int8_wo}, {modules: '*.q_proj', format: skip}]", ExitCode.BadInput, "q_proj", "k_proj", "one scheme");

    [Fact]
    public void A_recipe_and_a_format_exclude_each_other()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("recipe.yaml"), "rules: [{format: fp8}]");
        CommandRun.Refused(ExitCode.Usage, ["--format", "--recipe"], "plan", Models.Text, "--recipe", folder.In("recipe.yaml"), "--format", "fp8");
    }

    [Fact]
    public void A_mixed_recipe_runs()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("recipe.yaml"),
            "kv: fp8\nrules: [{scope: language, format: nvfp4}, {modules: '*.mlp.*', format: fp8}, {modules: 'model.layers.3.*', format: skip}]");
        CommandRun.Good("quantize", Models.Text, "--recipe", folder.In("recipe.yaml"), "--samples", "4", "-o", folder.In("out"), "--target", "vllm");
        var view = CommandRun.Good("inspect", folder.In("out"), "--json").Json();
        Assert.Equal("MIXED_PRECISION", view.GetProperty("quant_algorithm").GetString());
        CommandRun.Good("generate", folder.In("out"), "-p", "hello", "-n", "2");
    }
}
