using Nibble.Models;
using Nibble.Models.Config;
using Nibble.Models.Layers;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Layers;

public class MoeExpertsTests
{
    /// <summary>Relative to the largest output; 6.1e-7 measured.</summary>
    const double Tolerance = 2e-6;

    [Theory]
    [InlineData(1, 1, 1, 1, 1)]
    [InlineData(3, 2, 5, 7, 3)]
    [InlineData(8, 3, 32, 16, 24)]
    [InlineData(16, 2, 33, 17, 3)]   // most experts without a token
    [InlineData(5, 5, 65, 31, 40)]
    public void Equal_the_definition(int experts, int perToken, int width, int inner, int tokens)
    {
        var made = new Made(experts, perToken, width, inner);
        using var x = Draw.Tensor(1, tokens, width);
        using var logits = Draw.Tensor(2, tokens, experts);
        var routes = MoeRouter.Choose(logits, perToken, normalised: true);
        using var all = made.Layer.Gate(x, routes);
        using var y = made.Layer.Down(all, routes);

        Assert.Equal((tokens * perToken, inner), (all.Rows, all.Columns));
        var matrices = Enumerable.Range(0, experts).Select(made.Matrices).ToList();
        for (var token = 0; token < tokens; token++)
            Close.Scaled(MoeExperts.Definition(x.Row(token), MoeRouter.Definition(logits.Row(token), perToken, true), matrices),
                y.Row(token), Tolerance, $"token {token}");
    }

    [Fact]
    public void An_expert_without_tokens_is_not_touched()
    {
        var made = new Made(experts: 4, perToken: 2, width: 6, inner: 5);
        var routes = new Routes([3, 1, 1, 3], [0.5f, 0.5f, 0.25f, 0.75f], tokens: 2, experts: 4);
        using var x = Draw.Tensor(1, 2, 6);
        using var all = made.Layer.Gate(x, routes);
        using var y = made.Layer.Down(all, routes);
        Assert.Equal(["1.gate_proj", "1.up_proj", "3.gate_proj", "3.up_proj", "1.down_proj", "3.down_proj"], made.Used);
    }

    /// <summary>What calibration is told a step will multiply is what it multiplies.</summary>
    [Fact]
    public void Inputs_are_the_rows_of_the_tokens_that_chose_an_expert()
    {
        var made = new Made(experts: 4, perToken: 2, width: 6, inner: 5);
        var pass = new Pass(new Sample(1, 2, 3), null)
        {
            Routes = new Routes([3, 1, 1, 3, 0, 3], [0.5f, 0.5f, 0.25f, 0.75f, 1, 2], tokens: 3, experts: 4),
            Input = Draw.Tensor(1, 3, 6),
        };
        Compare(made.Layer.GateInputs, token => pass.Input.Row(token).ToArray());

        using var all = made.Layer.Gate(pass.Input, pass.Routes);
        pass.Input = all;
        int[] first = [0, 1, 3, 3]; // rows of expert 0, then of expert 1, 2 and 3
        var seen = made.Layer.DownInputs.Select(group => group.Rows(pass)?.X.Span<float>().ToArray()).ToList();
        for (var expert = 0; expert < 4; expert++)
            Assert.Equal(all.Slice(first[expert], pass.Routes.Tokens(expert).Length).Span<float>().ToArray(), seen[expert] ?? []);
        Assert.Null(seen[2]);
        made.Layer.DownInputs[0].Rows(pass)!.Value.X.Dispose(); // a copy: the rows of the others stay
        Assert.Equal(seen[3], made.Layer.DownInputs[3].Rows(pass)!.Value.X.Span<float>().ToArray());

        void Compare(IReadOnlyList<InputGroup> groups, Func<int, float[]> expected)
        {
            Assert.Equal(Enumerable.Range(0, 4).Select(expert => (string[])[$"x.{expert}.gate_proj", $"x.{expert}.up_proj"]),
                groups.Select(group => group.Modules));
            Assert.Equal([[2], [0, 1], null, [0, 1, 2]], groups.Select(group => group.Rows(pass)?.Tokens));
            foreach (var group in groups)
                if (group.Rows(pass) is { } rows)
                    Assert.Equal(rows.Tokens!.SelectMany(expected), rows.X.Span<float>().ToArray());
        }
    }

    [Fact]
    public void Without_routes_there_is_nothing_to_see()
    {
        var made = new Made(experts: 2, perToken: 1, width: 6, inner: 5);
        var pass = new Pass(new Sample(1), null) { Input = Draw.Tensor(1, 1, 6) };
        Assert.All(made.Layer.GateInputs, group => Assert.Null(group.Rows(pass)));
    }

    /// <summary>A layer with random weights, that remembers which of them were multiplied.</summary>
    sealed class Made : IModuleSource, ITensorSource
    {
        readonly int width, inner;

        public Made(int experts, int perToken, int width, int inner)
        {
            (this.width, this.inner) = (width, inner);
            Layer = new MoeExperts(new ExpertsConfig(experts, perToken, inner, true, [true]), width, new Weights(this, this, "x"));
        }

        public MoeExperts Layer { get; }

        public List<string> Used { get; } = [];

        public IReadOnlyCollection<TensorSpec> Tensors => [];

        public TensorSpec? Find(string name) => null;

        public Tensor Load(string name) => throw new KeyNotFoundException(name);

        public ILinearWeight Linear(string module) => new Noted(module["x.".Length..], Matrix(module["x.".Length..]), Used);

        public IKeyValueFilter? KeyValues(string attention) => null;

        public (float[,] Gate, float[,] Up, float[,] Down) Matrices(int expert) =>
            (Square($"{expert}.gate_proj"), Square($"{expert}.up_proj"), Square($"{expert}.down_proj"));

        Tensor Matrix(string module)
        {
            var seed = 100 * int.Parse(module[..module.IndexOf('.')]) + module[module.IndexOf('.') + 1];
            return module.EndsWith("down_proj", StringComparison.Ordinal) ? Draw.Tensor(seed, width, inner) : Draw.Tensor(seed, inner, width);
        }

        float[,] Square(string module)
        {
            using var matrix = Matrix(module);
            var square = new float[matrix.Rows, matrix.Columns];
            for (var row = 0; row < matrix.Rows; row++)
                for (var column = 0; column < matrix.Columns; column++)
                    square[row, column] = matrix.Row(row)[column];
            return square;
        }

        sealed class Noted(string module, Tensor weight, List<string> used) : ILinearWeight
        {
            readonly Nibble.Tensors.Ops.DenseWeight dense = new(weight);

            public int Rows => dense.Rows;

            public int Columns => dense.Columns;

            public long Bytes => dense.Bytes;

            public void Decode(int row, int column, Span<float> destination) => dense.Decode(row, column, destination);

            public void Multiply(Tensor x, Tensor y)
            {
                used.Add(module);
                dense.Multiply(x, y);
            }
        }
    }
}
