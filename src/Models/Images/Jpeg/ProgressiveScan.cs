namespace Nibble.Models.Images.Jpeg;

/// <summary>Huffman-coded blocks of the progressive mode: a band of coefficients, or a bit more of it. T.81, G.1.2.</summary>
ref struct ProgressiveScan(ReadOnlySpan<byte> file, int at, JpegTables tables, Scan scan) : IEntropyDecoder
{
    BitReader bits = new(file, at);
    int emptyBlocks; // "EOBRUN": blocks still to come in which the band has nothing new

    public readonly int At => bits.At;

    /// <summary>Holds the scan to G.1.1.1.1 and what earlier scans have given, and notes what it gives.</summary>
    public static void CheckOrder(Scan scan)
    {
        var text = $"scan of coefficients {scan.First} to {scan.Last}, bits {scan.High} to {scan.Low}";
        var band = scan.First == 0 ? scan.Last == 0 : scan.First <= scan.Last && scan.Last <= 63 && scan.Components.Length == 1;
        if (!band || scan.Low > 13 || scan.High > 0 && scan.High != scan.Low + 1)
            throw new InvalidDataException($"a {text} is not allowed.");
        foreach (var (component, _, _) in scan.Components)
        {
            if (scan.First > 0 && component.LowestBit[0] < 0)
                throw new InvalidDataException($"a {text} comes before the first coefficient.");
            for (var k = scan.First; k <= scan.Last; k++)
            {
                if (component.LowestBit[k] != (scan.High == 0 ? -1 : scan.High))
                    throw new InvalidDataException($"a {text} does not follow from bit {component.LowestBit[k]}.");
                component.LowestBit[k] = scan.Low;
            }
        }
    }

    public void Decode(ScanComponent component, scoped Span<short> block)
    {
        if (scan.First > 0 && scan.High == 0)
            DecodeBand(tables.Ac(component.AcTable), block);
        else if (scan.First > 0)
            RefineBand(tables.Ac(component.AcTable), block);
        else if (scan.High == 0)
        {
            component.Predictor += bits.ReadSigned(tables.Dc(component.DcTable).Decode(ref bits));
            block[0] = (short)(component.Predictor << scan.Low);
        }
        else
            block[0] |= (short)(bits.Read(1) << scan.Low);
    }

    public void Restart(int number)
    {
        bits.Restart(number);
        emptyBlocks = 0;
    }

    void DecodeBand(HuffmanTable ac, scoped Span<short> block)
    {
        if (emptyBlocks > 0)
        {
            emptyBlocks--;
            return;
        }
        for (var k = scan.First; k <= scan.Last; k++)
        {
            var symbol = ac.Decode(ref bits);
            var (zeros, size) = (symbol >> 4, symbol & 15);
            if (size == 0 && zeros < 15)
            {
                emptyBlocks = ReadRun(zeros) - 1;
                return;
            }
            k += zeros;
            if (size == 0)
                continue;
            if (k > scan.Last)
                throw Overflow();
            block[Scan.ZigZag[k]] = (short)(bits.ReadSigned(size) << scan.Low);
        }
    }

    /// <summary>Coefficients that are not zero get a bit each as they are passed; new ones have magnitude 1. G.1.2.3.</summary>
    void RefineBand(HuffmanTable ac, scoped Span<short> block)
    {
        var k = scan.First;
        while (emptyBlocks == 0 && k <= scan.Last)
        {
            var symbol = ac.Decode(ref bits);
            var (zeros, size) = (symbol >> 4, symbol & 15);
            if (size == 0 && zeros < 15)
            {
                emptyBlocks = ReadRun(zeros);
                break;
            }
            if (size > 1)
                throw new InvalidDataException($"a refining scan adds a coefficient of {size} bits, before byte {bits.At}.");
            var added = size == 0 ? 0 : bits.Read(1) == 1 ? 1 : -1;
            k = RefineUntil(zeros, k, block);
            if (added != 0 && k > scan.Last)
                throw Overflow();
            if (added != 0)
                block[Scan.ZigZag[k]] = (short)(added << scan.Low);
            k++;
        }
        if (emptyBlocks == 0)
            return;
        RefineUntil(64, k, block);
        emptyBlocks--;
    }

    /// <summary>Passes <paramref name="zeros"/> coefficients that are zero and returns the index of the next one.</summary>
    int RefineUntil(int zeros, int k, scoped Span<short> block)
    {
        for (; k <= scan.Last; k++)
        {
            ref var coefficient = ref block[Scan.ZigZag[k]];
            if (coefficient == 0 && zeros-- == 0)
                break;
            if (coefficient != 0 && bits.Read(1) == 1)
                coefficient += (short)(Math.Sign(coefficient) << scan.Low);
        }
        return k;
    }

    int ReadRun(int size) => (1 << size) + (size == 0 ? 0 : bits.Read(size));

    readonly InvalidDataException Overflow() => new($"a block has coefficients beyond {scan.Last}, before byte {bits.At}.");
}
