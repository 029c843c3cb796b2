namespace Nibble.Models.Images.Jpeg;

/// <summary>Huffman-coded blocks of the sequential mode. T.81, F.2.2.</summary>
ref struct SequentialScan(ReadOnlySpan<byte> file, int at, JpegTables tables) : IEntropyDecoder
{
    BitReader bits = new(file, at);

    public readonly int At => bits.At;

    public void Decode(ScanComponent component, scoped Span<short> block)
    {
        component.Predictor += bits.ReadSigned(tables.Dc(component.DcTable).Decode(ref bits));
        block[0] = (short)component.Predictor;

        var ac = tables.Ac(component.AcTable);
        for (var k = 1; k < 64; k++)
        {
            var symbol = ac.Decode(ref bits);
            var (zeros, size) = (symbol >> 4, symbol & 15);
            if (size == 0 && zeros < 15)
                return; // end of block
            k += zeros;
            if (size == 0)
                continue;
            if (k > 63)
                throw new InvalidDataException($"a block has more than 64 coefficients, before byte {bits.At}.");
            block[Scan.ZigZag[k]] = (short)bits.ReadSigned(size);
        }
    }

    public void Restart(int number) => bits.Restart(number);
}
