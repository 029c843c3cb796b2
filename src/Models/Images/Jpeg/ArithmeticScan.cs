namespace Nibble.Models.Images.Jpeg;

/// <summary>Arithmetic-coded blocks of the sequential mode. T.81, F.1.4 (the contexts) and F.2.4 (the decoding).</summary>
ref struct ArithmeticScan(ReadOnlySpan<byte> file, int at, JpegTables tables) : IEntropyDecoder
{
    // Layout of a table's contexts, tables F.4 and F.5.
    const int DcContexts = 49, DcSizes = 20, AcContexts = 245, AcLowSizes = 189, AcHighSizes = 217;

    const int SizeToBits = 14; // from the context of a magnitude's size to the one of its bits

    ArithmeticDecoder decoder = new(file, at);
    readonly byte[][] dc = Contexts(DcContexts), ac = Contexts(AcContexts); // by table
    byte evenOdds = ArithmeticDecoder.EvenOdds;

    public readonly int At => decoder.At;

    public void Decode(ScanComponent component, scoped Span<short> block)
    {
        component.Difference = DecodeDifference(component);
        component.Predictor += component.Difference;
        block[0] = (short)component.Predictor;

        var contexts = ac[component.AcTable];
        for (var k = 1; k < 64; k++)
        {
            var at = 3 * (k - 1);
            if (decoder.Decode(ref contexts[at]) == 1)
                return; // end of block
            for (; decoder.Decode(ref contexts[at + 1]) == 0; at += 3)
                if (++k > 63)
                    throw new InvalidDataException($"a block has more than 64 coefficients, before byte {At}.");

            var negative = decoder.Decode(ref evenOdds) == 1;
            var magnitude = 1;
            var sizes = at + 2;
            if (decoder.Decode(ref contexts[sizes]) == 1)
                magnitude += decoder.Decode(ref contexts[sizes]) == 0 ? 1
                    : DecodeMagnitude(contexts, k <= tables.AcConditioning[component.AcTable] ? AcLowSizes : AcHighSizes, 2);
            block[Scan.ZigZag[k]] = (short)(negative ? -magnitude : magnitude);
        }
    }

    public void Restart(int number)
    {
        decoder.Restart(number);
        foreach (var contexts in dc.Concat(ac))
            Array.Clear(contexts);
    }

    int DecodeDifference(ScanComponent component)
    {
        var contexts = dc[component.DcTable];
        var at = ContextOf(component.Difference, tables.DcConditioning[component.DcTable]);
        if (decoder.Decode(ref contexts[at]) == 0)
            return 0;
        var sign = decoder.Decode(ref contexts[at + 1]);
        var magnitude = 1;
        if (decoder.Decode(ref contexts[at + 2 + sign]) == 1)
            magnitude += DecodeMagnitude(contexts, DcSizes, 1);
        return sign == 1 ? -magnitude : magnitude;
    }

    /// <summary>Where the contexts begin after a difference like this: zero, small or large, and its sign. F.1.4.4.1.2.</summary>
    static int ContextOf(int difference, (int Lower, int Upper) conditioning)
    {
        var magnitude = Math.Abs((long)difference);
        if (2 * magnitude <= 1 << conditioning.Lower)
            return 0;
        return (magnitude <= 1 << conditioning.Upper ? 4 : 12) + (difference < 0 ? 4 : 0);
    }

    /// <summary>Doubles the leading bit as often as it is told, then reads the bits below it. Figures F.23 and F.24.</summary>
    int DecodeMagnitude(byte[] contexts, int at, int leading)
    {
        for (; decoder.Decode(ref contexts[at]) == 1; at++)
            if ((leading <<= 1) == 0x8000)
                throw new InvalidDataException($"a coefficient of more than 15 bits, before byte {At}.");
        var value = leading;
        while ((leading >>= 1) > 0)
            if (decoder.Decode(ref contexts[at + SizeToBits]) == 1)
                value |= leading;
        return value;
    }

    static byte[][] Contexts(int count) => [new byte[count], new byte[count], new byte[count], new byte[count]];
}
