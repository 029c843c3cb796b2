using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Tests.Quant.Planning;

public sealed class RecipeTests
{
    static readonly Scheme Fp8 = Schemes.Find("fp8")!;

    [Fact]
    public void The_last_match_wins()
    {
        var recipe = new Recipe([new Rule(new Glob("*"), Fp8), new Rule(new Glob("*.down"), null), new Rule(new Glob("a.*"), Fp8)]);
        Assert.Null(recipe.Deciding("b.down", Scope.Language)!.Scheme);
        Assert.Equal(Fp8, recipe.Deciding("a.down", Scope.Language)!.Scheme);
        Assert.Null(new Recipe([]).Deciding("a", Scope.Language));
    }

    [Fact]
    public void A_uniform_recipe_leaves_the_head_and_other_scopes()
    {
        var recipe = Recipe.Uniform(Fp8, [Scope.Language], ["*.0.*"]);
        Assert.Equal(Fp8, recipe.Deciding("model.layers.1.mlp", Scope.Language)!.Scheme);
        Assert.Null(recipe.Deciding("model.layers.0.mlp", Scope.Language)!.Scheme);
        Assert.Null(recipe.Deciding("lm_head", Scope.Language)!.Scheme);
        Assert.Null(recipe.Deciding("visual.blocks.1.mlp", Scope.Vision));
        Assert.Equal("language:*=fp8; *lm_head*=skip; *.0.*=skip; algorithm=max; kv=none", recipe.Describe());
    }

    [Theory]
    [InlineData("fp8_per_channel_per_token", "fp8_pc_pt")]
    [InlineData("INT8-weight-only", "int8_wo")]
    [InlineData("int4_blockwise_weight_only", "int4")]
    [InlineData("NVFP4", "nvfp4")]
    [InlineData("w4a16-nvfp4", "w4a16_nvfp4")]
    public void Other_names_of_formats_are_known(string alias, string name) => Assert.Equal(name, Schemes.Find(alias)!.Name);

    [Fact]
    public void Settings_of_the_algorithm_are_described_where_they_count()
    {
        var options = new AlgorithmOptions(AwqMode.Full, 1, null, 8, ScaleChoice.FourOverSix);
        Assert.Equal("algorithm=awq; awq=full; awq_step=1; kv=none", Describe(Algorithm.Awq));
        Assert.Equal("algorithm=svdquant; awq_step=1; rank=8; kv=none", Describe(Algorithm.SvdQuant));
        Assert.Equal("algorithm=smoothquant; smoothquant_alpha=auto; kv=none", Describe(Algorithm.SmoothQuant));
        Assert.Equal("algorithm=max; scales=four-over-six; kv=none", Describe(Algorithm.Max));
        Assert.Equal("algorithm=rtn; kv=none", Describe(Algorithm.Rtn));

        string Describe(Algorithm algorithm) => new Recipe([], algorithm) { Options = options }.Describe();
    }

    [Fact]
    public void Words_name_the_members_of_enumerations()
    {
        Assert.Equal(["standard", "mse", "sweep", "four-over-six", "local-hessian", "importance"], Words.All<ScaleChoice>());
        Assert.Equal(ScaleChoice.LocalHessian, Words.Find<ScaleChoice>("Local_Hessian"));
        Assert.Null(Words.Find<ScaleChoice>("local"));
    }
}
