using Nibble.Models;
using Nibble.Models.Layers;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Layers;

public class MoeRouterTests
{
    /// <summary>Absolute, weights being at most 1; 2.6e-7 measured.</summary>
    const double Tolerance = 1e-6;

    public static TheoryData<int, int> Sizes => new()
    {
        { 1, 1 }, { 2, 1 }, { 3, 2 }, { 5, 5 }, { 8, 3 }, { 13, 8 }, { 64, 8 }, { 127, 10 }, { 128, 8 },
    };

    [Theory, MemberData(nameof(Sizes))]
    public void Equals_the_definition(int experts, int perToken)
    {
        foreach (var tokens in (int[])[1, 2, 7, 33])
            foreach (var normalised in (bool[])[true, false])
            {
                Check(Draw.Normal(tokens * experts, tokens, deviation: 3), experts, perToken, normalised);
                Check(Draw.Ties(tokens * experts, tokens), experts, perToken, normalised);
                Check(Draw.Normal(tokens * experts, tokens, deviation: 30), experts, perToken, normalised);
                Check(new float[tokens * experts], experts, perToken, normalised);
            }
    }

    [Fact]
    public void Of_equals_the_lower_expert_is_chosen()
    {
        using var logits = Tensor.From([1, 2, 2, 2, 0, 0, 0, 0], 2, 4);
        var routes = MoeRouter.Choose(logits, 2, normalised: true);
        Assert.Equal([[1], [0, 1], [0], []], Enumerable.Range(0, 4).Select(routes.Tokens));
        Assert.Equal([0.5f, 0.5f], routes.Weights(1).ToArray());
    }

    [Fact]
    public void Weights_keep_their_share_of_all_experts_unless_they_are_normalised()
    {
        using var logits = Tensor.From([0, MathF.Log(3), MathF.Log(4), 0], 1, 4);
        Close.Assert([3f / 9], MoeRouter.Choose(logits, 2, normalised: false).Weights(1), Tolerance);
        Close.Assert([3f / 7], MoeRouter.Choose(logits, 2, normalised: true).Weights(1), Tolerance);
    }

    [Fact]
    public void Logits_that_are_no_numbers_still_choose_different_experts()
    {
        using var logits = Tensor.From([float.NaN, float.NaN, float.NaN, float.PositiveInfinity, 1, float.PositiveInfinity], 2, 3);
        var routes = MoeRouter.Choose(logits, 2, normalised: true);
        Assert.Equal([[0, 1], [0, 1], []], Enumerable.Range(0, 3).Select(routes.Tokens));
    }

    static void Check(float[] values, int experts, int perToken, bool normalised)
    {
        using var logits = Tensor.From(values, values.Length / experts, experts);
        var routes = MoeRouter.Choose(logits, perToken, normalised);
        Assert.Equal((logits.Rows, experts, logits.Rows * perToken), (routes.TokenCount, routes.Experts, routes.Rows));
        var found = new float[logits.Rows, experts];
        for (var expert = 0; expert < experts; expert++)
        {
            var tokens = routes.Tokens(expert);
            Assert.Equal(tokens.Distinct().Order(), tokens);
            for (var i = 0; i < tokens.Length; i++)
                found[tokens[i], expert] = routes.Weights(expert)[i];
        }
        for (var token = 0; token < logits.Rows; token++)
            Close.Assert(MoeRouter.Definition(logits.Row(token), perToken, normalised),
                [.. Enumerable.Range(0, experts).Select(expert => found[token, expert])], 0, Tolerance, $"token {token}");
    }
}
