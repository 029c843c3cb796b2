using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>The codes of a matrix while they are being found.</summary>
/// <param name="scales">[out · groups], in the original order of the columns.</param>
sealed class Rounding(Grid grid, int rows, int columns, GroupScale[] scales)
{
    readonly int group = grid.GroupOf(columns);

    /// <summary>[out · in], the low bits of each code.</summary>
    public byte[] Codes { get; } = new byte[checked(rows * columns)];

    public GroupScale[] Scales => scales;

    public int Group => group;

    /// <summary>Whether the scale of a group may be any number.</summary>
    public bool FreeScales => grid.FreeScales;

    public ref GroupScale ScaleOf(int row, int column) => ref scales[row * (columns / group) + column / group];

    /// <summary>Notes the nearest code and returns its value.</summary>
    public float Put(int row, int column, double weight)
    {
        ref var scale = ref ScaleOf(row, column);
        var code = grid.Code(weight, scale);
        Codes[row * columns + column] = (byte)code;
        return (float)grid.Value(code, scale);
    }

    /// <summary>What the codes of a row stand for.</summary>
    public void Values(int row, Span<float> values)
    {
        for (var column = 0; column < columns; column++)
            values[column] = (float)grid.Value(grid.FromByte(Codes[row * columns + column]), ScaleOf(row, column));
    }

    /// <summary>Takes over codes and scales of a row from another rounding of the same matrix.</summary>
    public void TakeRow(int row, Rounding other)
    {
        var groups = columns / group;
        other.Codes.AsSpan(row * columns, columns).CopyTo(Codes.AsSpan(row * columns));
        other.Scales.AsSpan(row * groups, groups).CopyTo(scales.AsSpan(row * groups));
    }

    /// <summary>Rounds a whole matrix to nearest.</summary>
    /// <param name="values">What each weight became; may be null.</param>
    public void Nearest(Tensor weight, Tensor? values) => Threads.For(rows, 1, (start, end) =>
    {
        for (var row = start; row < end; row++)
            for (var column = 0; column < columns; column++)
            {
                var value = Put(row, column, weight.Row(row)[column]);
                if (values is not null)
                    values.Row(row)[column] = value;
            }
    });
}
