using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Models.Generation;

public class GeneratorTests
{
    [Fact]
    public void Stops_after_a_stop_token_or_enough_tokens()
    {
        using var golden = Golden.Model("llama");
        var generator = new Generator(golden.Network, golden.Weights);
        var expected = golden.Ints("generated");
        Assert.Equal([], Tokens(0));
        Assert.Equal(expected[..3], Tokens(3));
        var stop = Array.FindIndex(expected, 1, token => token != expected[0]);
        Assert.Equal(expected[..(stop + 1)], Tokens(8, expected[stop], 127));
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokens(-1));

        IEnumerable<int> Tokens(int most, params int[] stops) =>
            generator.Generate(golden.Sample(""), new GenerationOptions { MaxNewTokens = most, StopTokens = stops });
    }

    [Fact]
    public void Sampling_depends_on_the_seed_alone()
    {
        using var golden = Golden.Model("llama");
        var generator = new Generator(golden.Network, golden.Weights);
        var draws = Enumerable.Range(0, 4).Select(seed => string.Join(' ', Draw((ulong)seed))).ToArray();
        Assert.Equal(draws, Enumerable.Range(0, 4).Select(seed => string.Join(' ', Draw((ulong)seed))));
        Assert.True(draws.Distinct().Count() > 1);

        IEnumerable<int> Draw(ulong seed) => generator.Generate(golden.Sample(""),
            new GenerationOptions { MaxNewTokens = 6, Seed = seed, Sampling = new SamplingOptions { Temperature = 2 } });
    }

    [Fact]
    public void Cancelling_ends_between_two_stages()
    {
        using var golden = Golden.Model("llama");
        var generator = new Generator(golden.Network, golden.Weights);
        using var source = new CancellationTokenSource();
        var made = 0;
        Assert.Throws<OperationCanceledException>(() =>
        {
            foreach (var _ in generator.Generate(golden.Sample(""), new GenerationOptions(), source.Token))
                if (++made == 2)
                    source.Cancel();
        });
        Assert.Equal(2, made);
        Assert.Throws<OperationCanceledException>(() => generator.Logits(golden.Sample(""), null, source.Token));
    }

    [Fact]
    public void Answers_side_by_side_do_not_disturb_each_other()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var generator = new Generator(golden.Network, golden.Weights);
        string[] names = ["one.", "text.", "two.", "one.", "two.", "text."];
        Parallel.ForEach(names, name => Assert.Equal(golden.Ints(name + "greedy"),
            generator.Generate(golden.Sample(name), new GenerationOptions { MaxNewTokens = 8 })));
    }
}
