using Nibble.Cli;
using Nibble.Cli.Commands;
using Nibble.Cli.Recipes;
using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
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

    /// <summary>Every setting reaches the recipe, from a file as from options.</summary>
    [Theory]
    [InlineData("int4", "awq", "awq_step", "0.5")]
    [InlineData("int4", "awq", "awq", "full")]
    [InlineData("nvfp4", "svdquant", "rank", "8")]
    [InlineData("int8", "smoothquant", "smoothquant_alpha", "0.25")]
    [InlineData("int8", "smoothquant", "smoothquant_alpha", "auto")]
    [InlineData("nvfp4", "max", "scales", "four-over-six")]
    [InlineData("fp8", "rtn", "range", "percentile:99.5")]
    public void A_setting_is_part_of_the_recipe(string format, string algorithm, string name, string value)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("recipe.yaml"), $"algorithm: {algorithm}\n{name}: {value}\nkv: nvfp4\nrules: [{{scope: language, format: {format}}}]");
        var settings = new AlgorithmSettings();
        settings.Set("algorithm", algorithm);
        settings.Set(name, value);
        var recipe = CommonOptions.Uniform(format, "nvfp4", [], ["*.k_proj"], settings);
        foreach (var described in (string[])[RecipeFile.Read(folder.In("recipe.yaml")).Describe(), recipe.Describe()])
        {
            Assert.Contains($"algorithm={algorithm}; {name}={value}; kv=nvfp4", described, StringComparison.Ordinal);
            Assert.Contains($"language:*={format}; ", described, StringComparison.Ordinal);
        }
        Assert.Contains("*.k_proj=skip", recipe.Describe(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("preset: best\nrules: [{format: int4}]", Algorithm.Best)]
    [InlineData("preset: balanced\nrules: [{format: int8}]", Algorithm.SmoothQuant)]
    [InlineData("preset: fast\nrules: [{format: int4}]", Algorithm.Max)]
    [InlineData("rules: [{format: int4_awq}]", Algorithm.Awq)]
    [InlineData("rules: [{format: int4}]", Algorithm.Max)]
    public void A_preset_or_a_format_chooses_the_algorithm(string yaml, Algorithm algorithm)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("recipe.yaml"), yaml);
        Assert.Equal(algorithm, RecipeFile.Read(folder.In("recipe.yaml")).Algorithm);
    }

    [Fact]
    public void What_is_written_as_a_recipe_is_read_as_the_same_one()
    {
        using var folder = new TemporaryFolder();
        var recipe = new Recipe([.. Recipe.NeverByDefault.Select(pattern => new Rule(new Glob(pattern), null)),
            new Rule(new Glob("*"), Schemes.Find("nvfp4"), Scope.Language), new Rule(new Glob("*"), Schemes.Find("fp8"), Scope.Vision),
            .. Recipe.NeverByDefault.Select(pattern => new Rule(new Glob(pattern), null)),
            new Rule(new Glob("it's.*"), null), new Rule(new Glob("model.layers.1.*"), Schemes.Find("fp8"))],
            KeyValues: Schemes.FindKeyValues("fp8"));
        File.WriteAllText(folder.In("recipe.yaml"), RecipeText.Write(recipe, "made by hand"));
        foreach (var scope in Enum.GetValues<Scope>())
            foreach (var module in (string[])["lm_head", "it's.one", "model.layers.1.mlp", "model.layers.2.mlp"])
                Assert.Equal(recipe.Deciding(module, scope)?.Scheme, RecipeFile.Read(folder.In("recipe.yaml")).Deciding(module, scope)?.Scheme);
        Assert.Equal("fp8", RecipeFile.Read(folder.In("recipe.yaml")).KeyValues?.Name);
        Assert.StartsWith("# made by hand\nalgorithm: max\n", RecipeText.Write(recipe, "made by hand"), StringComparison.Ordinal);
    }

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
