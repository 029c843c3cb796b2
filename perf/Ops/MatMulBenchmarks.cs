using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Perf.Ops;

/// <summary>Products at the shapes of a 7B decoder: many tokens against the peak, few tokens against the bandwidth.</summary>
static class MatMulBenchmarks
{
    const int In = 4096;
    const int Out = 4096;

    public static void Run(TextWriter output)
    {
        using var one = new Workers(1);
        foreach (var level in Cpu.Available.Reverse())
            Many(output, new HostTarget(level, one));
        Few(output, new HostTarget(Cpu.Level, one));
        if (Threads.Count > 1)
            Few(output, HostTarget.Default);
    }

    static void Many(TextWriter output, HostTarget target)
    {
        const int tokens = 512;
        using var x = Random(tokens, In);
        using var weight = Random(Out, In);
        using var y = Tensor.Empty(tokens, Out);
        using var h = Tensor.Zeros(In, In);
        using var narrow = ToBF16(weight);
        var packed = new Packed(narrow);
        var flops = 2.0 * tokens * In * Out;
        Rounds.Run(output, "GFLOP/s", target.Workers.Count == 1, Probes.Peak(target.Level),
            new($"x·Wᵀ {tokens}x{Out}x{In} F32", flops, () => MatMul.Apply(x, weight, y, target)),
            new($"x·Wᵀ {tokens}x{Out}x{In} BF16", flops, () => MatMul.Apply(x, narrow, y, target)),
            new($"x·Wᵀ {tokens}x{Out}x{In} rows decoded", flops, () => MatMul.Apply(x, packed, y, target)),
            new($"A·B {tokens}x{Out}x{In}", flops, () => MatMul.Multiply(x, weight, y, target)),
            new($"H += xᵀx {tokens}x{In}", flops / 2, () => MatMul.Gram(x, h, target)));
    }

    static void Few(TextWriter output, HostTarget target)
    {
        const int rows = 11008;
        using var wide = Random(rows, In);
        using var narrow = ToBF16(wide);
        var single = target.Workers.Count == 1;
        Rounds.Run(output, "GB/s", single, Probes.Read(wide, target.Workers), Case(1, wide, "F32"), Case(4, wide, "F32"));
        Rounds.Run(output, "GB/s", single, Probes.Read(narrow, target.Workers), Case(1, narrow, "BF16"),
            Case(2, narrow, "BF16"), Case(4, narrow, "BF16"), Case(8, narrow, "BF16"), Case(16, narrow, "BF16"),
            Case(24, narrow, "BF16"), Case(32, narrow, "BF16"));

        Measured Case(int tokens, Tensor weight, string type)
        {
            var x = Random(tokens, In);
            var y = Tensor.Empty(tokens, rows);
            return new($"x·Wᵀ {tokens}x{rows}x{In} {type}", weight.Bytes, () => MatMul.Apply(x, weight, y, target));
        }
    }

    static Tensor Random(int rows, int columns)
    {
        var random = new Random(rows + columns);
        var tensor = Tensor.Empty(rows, columns);
        foreach (ref var value in tensor.Span<float>())
            value = random.NextSingle() - 0.5f;
        return tensor;
    }

    static Tensor ToBF16(Tensor source)
    {
        var result = Tensor.Empty(source.Shape, DType.BF16);
        Nibble.Tensors.Convert.ToBF16(source.Span<float>(), result.Span<ushort>());
        return result;
    }

    /// <summary>Weights that can only be decoded, by the cheapest decoder there is.</summary>
    sealed class Packed(Tensor weight) : IWeightRows
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public void Decode(int row, int column, Span<float> destination) =>
            Nibble.Tensors.Convert.ToF32(weight, (long)row * Columns + column, destination);
    }
}
