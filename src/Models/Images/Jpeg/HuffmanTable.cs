namespace Nibble.Models.Images.Jpeg;

/// <summary>A Huffman code. T.81, annex C (how codes follow from the counts) and F.2.2.3 (decoding).</summary>
sealed class HuffmanTable
{
    const int FastBits = 9;

    readonly ushort[] fast = new ushort[1 << FastBits]; // by the next bits: length << 8 | symbol; 0 where the code is longer
    readonly int[] limit = new int[17];                 // by length: the smallest 16 bits that need a longer code
    readonly int[] offset = new int[17];                // by length: index of a code's symbol minus the code
    readonly byte[] symbols;

    /// <param name="counts">Codes of each length 1 to 16.</param>
    public HuffmanTable(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols)
    {
        this.symbols = symbols.ToArray();
        int code = 0, index = 0;
        for (var length = 1; length <= 16; length++, code <<= 1)
        {
            offset[length] = index - code;
            for (var i = 0; i < counts[length - 1]; i++, code++, index++)
                if (length <= FastBits && code < 1 << length)
                    fast.AsSpan(code << FastBits - length, 1 << FastBits - length).Fill((ushort)(length << 8 | symbols[index]));
            if (code > 1 << length)
                throw new InvalidDataException($"a Huffman table has more codes of {length} bits than there are.");
            limit[length] = code << 16 - length;
        }
    }

    public int Decode(ref BitReader bits)
    {
        bits.Fill();
        var entry = fast[bits.Peek(FastBits)];
        if (entry == 0)
            return DecodeLong(ref bits);
        bits.Skip(entry >> 8);
        return (byte)entry;
    }

    int DecodeLong(ref BitReader bits)
    {
        var next = bits.Peek(16);
        for (var length = FastBits + 1; length <= 16; length++)
            if (next < limit[length])
            {
                bits.Skip(length);
                return symbols[(next >> 16 - length) + offset[length]];
            }
        throw new InvalidDataException($"a Huffman code that is not in the table, before byte {bits.At}.");
    }
}
