namespace Nibble.Models.Images.Jpeg;

/// <summary>Brings a component to the picture's resolution as libjpeg does by default.</summary>
/// <remarks>
/// Where two pixels share a sample, "fancy" upsampling weighs the nearer sample three times and the farther once, with roundings
/// that alternate. Other ratios, and components at most two samples wide where the ratio is 2 across, are replicated.
/// </remarks>
static class Upsampling
{
    /// <summary>A row of the picture; at least the picture's width of <paramref name="row"/> is written.</summary>
    public static void Row(Component component, int y, Span<byte> row)
    {
        var (across, down) = (component.HorizontalRatio, component.VerticalRatio);
        var near = component.Row(y / down);
        if (across == 1 && down == 1)
            near.CopyTo(row);
        else if (across == 1 && down == 2)
            Down(near, Far(component, y), y % 2 == 0 ? 1 : 2, row);
        else if (across == 2 && down == 1 && near.Length > 2)
            Across(near, row);
        else if (across == 2 && down == 2 && near.Length > 2)
            Both(near, Far(component, y), row);
        else
            for (var x = 0; x < near.Length; x++)
                row.Slice(x * across, across).Fill(near[x]);
    }

    /// <summary>The sample row on the other side of picture row <paramref name="y"/>; at the edges the same row again.</summary>
    static ReadOnlySpan<byte> Far(Component component, int y) =>
        component.Row(Math.Clamp(y / 2 + (y % 2 == 0 ? -1 : 1), 0, component.Height - 1));

    static void Down(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far, int rounding, Span<byte> row)
    {
        for (var x = 0; x < near.Length; x++)
            row[x] = (byte)(3 * near[x] + far[x] + rounding >> 2);
    }

    static void Across(ReadOnlySpan<byte> near, Span<byte> row)
    {
        var last = near.Length - 1;
        row = row[..(2 * near.Length)];
        for (var x = 1; x <= last; x++) // the pixels on both sides of the border between two samples
        {
            int left = near[x - 1], right = near[x];
            row[2 * x - 1] = (byte)(3 * left + right + 2 >> 2);
            row[2 * x] = (byte)(3 * right + left + 1 >> 2);
        }
        row[0] = near[0];
        row[^1] = near[last];
    }

    static void Both(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far, Span<byte> row)
    {
        row = row[..(2 * near.Length)];
        far = far[..near.Length];
        var left = 3 * near[0] + far[0];
        row[0] = (byte)(4 * left + 8 >> 4);
        for (var x = 1; x < near.Length; x++)
        {
            var right = 3 * near[x] + far[x];
            row[2 * x - 1] = (byte)(3 * left + right + 7 >> 4);
            row[2 * x] = (byte)(3 * right + left + 8 >> 4);
            left = right;
        }
        row[^1] = (byte)(4 * left + 7 >> 4);
    }
}
