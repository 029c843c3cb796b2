namespace Nibble.Models.Images.Jpeg;

/// <summary>Decodes the blocks of one scan in the order they are asked for.</summary>
interface IEntropyDecoder
{
    /// <summary>Where the decoder has arrived in the file; never beyond a marker.</summary>
    int At { get; }

    /// <param name="block">64 coefficients in row order: zero, or what earlier scans of a progressive picture have left.</param>
    void Decode(ScanComponent component, scoped Span<short> block);

    /// <summary>Forgets everything, after the restart marker with this number. T.81, F.2.1.3.1.</summary>
    void Restart(int number);
}

/// <summary>A component as one scan sees it.</summary>
sealed record ScanComponent(Component Component, int DcTable, int AcTable)
{
    /// <summary>The last DC value, from which the next one is a difference.</summary>
    public int Predictor { get; set; }

    /// <summary>The last difference, on which arithmetic coding conditions the next one.</summary>
    public int Difference { get; set; }
}

/// <summary>A scan header. T.81, B.2.3.</summary>
/// <param name="First">First coefficient in zigzag order.</param>
/// <param name="Last">Last coefficient.</param>
/// <param name="High">Lowest bit of earlier scans; 0 in the first one.</param>
/// <param name="Low">Lowest bit of this scan.</param>
sealed record Scan(ScanComponent[] Components, int First, int Last, int High, int Low)
{
    const int MaxBlocksPerMcu = 10; // B.2.3

    /// <summary>Coefficient positions in the order of the file: row order index by zigzag index. T.81, figure A.6.</summary>
    public static ReadOnlySpan<byte> ZigZag =>
    [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
        12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
        35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
        58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];

    public static Scan Parse(ReadOnlySpan<byte> data, Frame frame)
    {
        var count = data.IsEmpty ? 0 : data[0];
        if (count is < 1 or > 4 || data.Length != 4 + 2 * count)
            throw new InvalidDataException($"{count} components in a scan header of {data.Length} bytes.");
        var components = new ScanComponent[count];
        for (var i = 0; i < count; i++)
        {
            int id = data[1 + 2 * i], tables = data[2 + 2 * i];
            var component = Array.Find(frame.Components, component => component.Id == id)
                ?? throw new InvalidDataException($"a scan of component {id}, which the frame does not have.");
            if (components.Any(earlier => earlier?.Component == component))
                throw new InvalidDataException($"a scan with component {id} twice.");
            if (tables >> 4 > 3 || (tables & 15) > 3)
                throw new InvalidDataException($"a scan with the tables {tables >> 4} and {tables & 15}; 0 to 3 exist.");
            components[i] = new ScanComponent(component, tables >> 4, tables & 15);
        }
        if (count > 1 && components.Sum(one => one.Component.H * one.Component.V) > MaxBlocksPerMcu)
            throw new InvalidDataException($"a scan with more than {MaxBlocksPerMcu} blocks in a coded unit.");

        var rest = data[(1 + 2 * count)..];
        return frame.Coding == Coding.Progressive
            ? new Scan(components, rest[0], rest[1], rest[2] >> 4, rest[2] & 15)
            : new Scan(components, 0, 63, 0, 0);
    }

    /// <summary>Decodes every block of the scan. T.81, A.2: a component's own blocks alone; whole coded units together.</summary>
    /// <returns>Where the scan ends in the file.</returns>
    public int Run<T>(ref T decoder, Frame frame, int restartInterval) where T : IEntropyDecoder, allows ref struct
    {
        var alone = Components.Length == 1;
        var across = alone ? Components[0].Component.BlocksAcross : frame.McusAcross;
        var down = alone ? Components[0].Component.BlocksDown : frame.McusDown;
        var (unit, restarts) = (0, 0);
        for (var y = 0; y < down; y++)
            for (var x = 0; x < across; x++, unit++)
            {
                if (restartInterval > 0 && unit == restartInterval)
                {
                    decoder.Restart(restarts++ & 7);
                    foreach (var component in Components)
                        (component.Predictor, component.Difference) = (0, 0);
                    unit = 0;
                }
                foreach (var component in Components)
                    if (alone)
                        Decode(ref decoder, frame.Coding, component, x, y);
                    else
                        DecodeUnit(ref decoder, frame.Coding, component, x, y);
            }
        return decoder.At;
    }

    static void DecodeUnit<T>(ref T decoder, Coding coding, ScanComponent one, int x, int y)
        where T : IEntropyDecoder, allows ref struct
    {
        for (var v = 0; v < one.Component.V; v++)
            for (var h = 0; h < one.Component.H; h++)
                Decode(ref decoder, coding, one, x * one.Component.H + h, y * one.Component.V + v);
    }

    static void Decode<T>(ref T decoder, Coding coding, ScanComponent one, int x, int y)
        where T : IEntropyDecoder, allows ref struct
    {
        if (coding == Coding.Progressive)
        {
            decoder.Decode(one, one.Component.Block(x, y)); // its samples follow when all scans are known
            return;
        }
        Span<short> block = stackalloc short[64];
        block.Clear();
        decoder.Decode(one, block);
        one.Component.Reconstruct(block, x, y);
    }
}
