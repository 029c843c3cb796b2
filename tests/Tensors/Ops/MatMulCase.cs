using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;
using Convert = Nibble.Tensors.Convert;

namespace Nibble.Tests.Tensors.Ops;

/// <summary>Random operands of one product, what the definition makes of them, and the comparison with a fast version.</summary>
sealed class MatMulCase
{
    /// <summary>
    /// Largest allowed |error| / Σ|x·w|. Over every case of these tests the largest is 5.9e-7, on the diagonal of second moments
    /// over 257 tokens, where all terms of a chain have one sign and its roundings do not cancel; 4.0e-7 elsewhere. A lost or
    /// doubled term is about 1/K, 5e-4 at the longest.
    /// </summary>
    public const double Tolerance = 1e-6;

    readonly double[] expected;
    readonly double[] magnitude;
    readonly string what;

    public MatMulCase(int tokens, int rows, int columns, DType type = DType.F32, Action<Tensor, float[]>? change = null)
    {
        what = $"[{tokens}, {columns}] x [{rows}, {columns}] {type.Name()}";
        var random = new Random(tokens * 1000003 + rows * 1009 + columns);
        X = Tensor.From(Values(random, tokens * columns), tokens, columns);
        var values = Values(random, rows * columns);
        change?.Invoke(X, values);
        Weight = Stored(values, rows, columns, type);
        Rows = new ArrayRows(Convert.ToF32(Weight).Span<float>().ToArray(), rows, columns);

        expected = new double[tokens * rows];
        MatMul.Definition(X, Rows, expected);
        magnitude = new double[expected.Length];
        var positive = Tensor.From(X.Span<float>(), tokens, columns);
        foreach (ref var value in positive.Span<float>())
            value = Math.Abs(value);
        MatMul.Definition(positive, new ArrayRows([.. Rows.Values.Select(Math.Abs)], rows, columns), magnitude);
    }

    public Tensor X { get; }

    public Tensor Weight { get; }

    public ArrayRows Rows { get; }

    /// <summary>The result of a product into memory that held something else before.</summary>
    public static Tensor Run(int tokens, int rows, Action<Tensor> product)
    {
        var y = Tensor.Empty(tokens, rows);
        y.Span<float>().Fill(float.NaN);
        product(y);
        return y;
    }

    /// <summary>Checks all levels, given a way to run the product on one.</summary>
    public void Check(Action<Tensor, CpuLevel> product)
    {
        foreach (var level in Cpu.Available)
        {
            using var result = Run((int)X.Shape[0], Rows.Rows, y => product(y, level));
            var y = result.Span<float>();
            for (var i = 0; i < expected.Length; i++)
            {
                var error = Math.Abs(y[i] - expected[i]) / magnitude[i];
                var right = double.IsFinite(expected[i])
                    ? error <= Tolerance || y[i] == expected[i]
                    : expected[i].Equals((double)y[i]);
                if (!right)
                    Assert.Fail($"{what} {level}: element {i} is {y[i]}, not {expected[i]}; {error:E2} of the sum of magnitudes");
            }
        }
    }

    static float[] Values(Random random, int count)
    {
        var values = new float[count];
        for (var i = 0; i < count; i++)
            values[i] = random.NextSingle() * 2 - 1;
        return values;
    }

    static Tensor Stored(float[] values, int rows, int columns, DType type)
    {
        var tensor = Tensor.Empty(new Shape(rows, columns), type);
        switch (type)
        {
            case DType.BF16:
                Convert.ToBF16(values, tensor.Span<ushort>());
                break;
            case DType.F16:
                for (var i = 0; i < values.Length; i++)
                    tensor.Span<Half>()[i] = (Half)values[i];
                break;
            default:
                values.CopyTo(tensor.Span<float>());
                break;
        }
        return tensor;
    }
}

/// <summary>Weights in an array, which can only be decoded.</summary>
sealed class ArrayRows(float[] values, int rows, int columns) : IWeightRows
{
    public float[] Values => values;

    public int Rows => rows;

    public int Columns => columns;

    public void Decode(int row, int column, Span<float> destination)
    {
        Assert.InRange(row, 0, rows - 1);
        Assert.InRange(column, 0, columns - destination.Length);
        values.AsSpan(row * columns + column, destination.Length).CopyTo(destination);
    }
}
