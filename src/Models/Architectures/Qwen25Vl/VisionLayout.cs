using Nibble.Models.Config;
using Nibble.Models.Layers;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>
/// Where the patches of a sample's pictures stand. Given, they come in squares of merge · merge (a unit, later one token), the
/// units in reading order. Between patch embedding and merger the units are sorted by attention window.
/// </summary>
/// <param name="Units">Units[i] is the reading-order index of the unit that stands at i in window order.</param>
/// <param name="Windows">Bounds of the windows, in patches, from 0.</param>
/// <param name="Pictures">Bounds of the pictures, in patches, from 0.</param>
/// <param name="Angles">[patches, d / 2] in window order: the first half turns with the row, the second with the column.</param>
sealed record VisionLayout(int[] Units, int[] Windows, int[] Pictures, Angles Angles)
{
    const double RopeTheta = 10_000; // not in any config.json

    public AttentionMask WithinWindows { get; } = AttentionMask.Blocks(Windows);

    public AttentionMask WithinPictures { get; } = AttentionMask.Blocks(Pictures);

    public static VisionLayout Of(IReadOnlyList<ImagePatches> images, Qwen25VisionConfig config)
    {
        var perUnit = config.Merge * config.Merge;
        List<int> units = [], windows = [0], pictures = [0];
        List<int> rows = [], columns = [];
        foreach (var image in images)
        {
            var (height, width) = (image.GridHeight / config.Merge, image.GridWidth / config.Merge);
            var first = units.Count;
            for (var top = 0; top < height; top += config.WindowUnits)
                for (var left = 0; left < width; left += config.WindowUnits)
                {
                    for (var row = top; row < Math.Min(top + config.WindowUnits, height); row++)
                        for (var column = left; column < Math.Min(left + config.WindowUnits, width); column++)
                        {
                            units.Add(first + row * width + column);
                            AddPatches(rows, columns, row, column, config.Merge);
                        }
                    windows.Add(units.Count * perUnit);
                }
            pictures.Add(units.Count * perUnit);
        }
        var angles = Turn([.. rows], [.. columns], config.Width / config.Heads);
        return new VisionLayout([.. units], [.. windows], [.. pictures], angles);
    }

    /// <summary>Rows of x in window order, for x with <paramref name="perUnit"/> rows for each unit in reading order.</summary>
    public Tensor ToWindows(Tensor x, int perUnit)
    {
        var y = Tensor.Empty(x.Shape);
        for (var i = 0; i < Units.Length; i++)
            x.Slice(Units[i] * perUnit, perUnit).Span<float>().CopyTo(y.Slice(i * perUnit, perUnit).Span<float>());
        GC.KeepAlive(x);
        return y;
    }

    /// <summary>Rows of x in reading order, for x with one row for each unit in window order.</summary>
    public Tensor ToReadingOrder(Tensor x)
    {
        var y = Tensor.Empty(x.Shape);
        for (var i = 0; i < Units.Length; i++)
            x.Row(i).CopyTo(y.Row(Units[i]));
        GC.KeepAlive(x);
        return y;
    }

    static void AddPatches(List<int> rows, List<int> columns, int unitRow, int unitColumn, int merge)
    {
        for (var row = 0; row < merge; row++)
            for (var column = 0; column < merge; column++)
            {
                rows.Add(unitRow * merge + row);
                columns.Add(unitColumn * merge + column);
            }
    }

    // d / 4 frequencies 10000^(-4i/d), once for the row and once for the column.
    static Angles Turn(int[] rows, int[] columns, int headWidth)
    {
        var quarter = headWidth / 4;
        var inverse = new double[2 * quarter];
        for (var i = 0; i < quarter; i++)
            inverse[i] = inverse[quarter + i] = Math.Pow(RopeTheta, -(double)i / quarter);
        var (cos, sin) = Rope.MultimodalAngles(inverse, 1, [rows, columns, rows], [quarter, quarter, 0], false);
        return new Angles(cos, sin);
    }
}
