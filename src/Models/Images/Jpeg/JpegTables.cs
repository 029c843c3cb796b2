using System.Buffers.Binary;

namespace Nibble.Models.Images.Jpeg;

/// <summary>What the segments between scans define. T.81, B.2.4.</summary>
sealed class JpegTables
{
    readonly ushort[]?[] quantization = new ushort[4][];
    readonly HuffmanTable?[] dc = new HuffmanTable?[4], ac = new HuffmanTable?[4];

    /// <summary>Coded units between restart markers; 0 where there are none.</summary>
    public int RestartInterval { get; private set; }

    /// <summary>Arithmetic coding: the bounds L and U of small differences, by table.</summary>
    public (int Lower, int Upper)[] DcConditioning { get; } = [(0, 1), (0, 1), (0, 1), (0, 1)];

    /// <summary>Arithmetic coding: the last coefficient "Kx" that counts as low, by table.</summary>
    public int[] AcConditioning { get; } = [5, 5, 5, 5];

    /// <summary>64 factors in row order.</summary>
    public ushort[] Quantization(int table) =>
        quantization[table] ?? throw new InvalidDataException($"quantization table {table} is used and not defined.");

    public HuffmanTable Dc(int table) =>
        dc[table] ?? throw new InvalidDataException($"Huffman table {table} (DC) is not defined.");

    public HuffmanTable Ac(int table) =>
        ac[table] ?? throw new InvalidDataException($"Huffman table {table} (AC) is not defined.");

    /// <summary>DQT, B.2.4.1.</summary>
    public void DefineQuantization(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var (wide, table) = (data[0] >> 4, data[0] & 15);
            var bytes = wide == 0 ? 1 : 2;
            if (wide > 1 || table > 3 || data.Length < 1 + 64 * bytes)
                throw new InvalidDataException($"quantization table {table} (precision {wide}) in {data.Length} bytes.");
            var factors = new ushort[64];
            for (var k = 0; k < 64; k++)
                factors[Scan.ZigZag[k]] = wide == 0 ? data[1 + k] : BinaryPrimitives.ReadUInt16BigEndian(data[(1 + 2 * k)..]);
            quantization[table] = factors;
            data = data[(1 + 64 * bytes)..];
        }
    }

    /// <summary>DHT, B.2.4.2.</summary>
    public void DefineHuffman(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var (kind, table) = (data[0] >> 4, data[0] & 15);
            var count = 0;
            foreach (var codes in data[1..Math.Min(17, data.Length)])
                count += codes;
            if (kind > 1 || table > 3 || count > 256 || data.Length < 17 + count)
                throw new InvalidDataException($"Huffman table {table} (kind {kind}, {count} codes) in {data.Length} bytes.");
            var symbols = data.Slice(17, count);
            if (kind == 0 && symbols.ContainsAnyExceptInRange((byte)0, (byte)15))
                throw new InvalidDataException($"Huffman table {table} (DC) has a difference of more than 15 bits.");
            (kind == 0 ? dc : ac)[table] = new HuffmanTable(data.Slice(1, 16), symbols);
            data = data[(17 + count)..];
        }
    }

    /// <summary>DAC, B.2.4.3.</summary>
    public void DefineConditioning(ReadOnlySpan<byte> data)
    {
        for (; data.Length >= 2; data = data[2..])
        {
            var (kind, table, value) = (data[0] >> 4, data[0] & 15, (int)data[1]);
            var (lower, upper) = (value & 15, value >> 4);
            if (kind > 1 || table > 3 || (kind == 0 ? lower > upper : value is < 1 or > 63))
                throw new InvalidDataException($"arithmetic conditioning {value} (kind {kind}, number {table}) is out of range.");
            if (kind == 0)
                DcConditioning[table] = (lower, upper);
            else
                AcConditioning[table] = value;
        }
    }

    /// <summary>DRI, B.2.4.4.</summary>
    public void DefineRestartInterval(ReadOnlySpan<byte> data)
    {
        if (data.Length != 2)
            throw new InvalidDataException($"a restart interval in {data.Length} bytes instead of 2.");
        RestartInterval = BinaryPrimitives.ReadUInt16BigEndian(data);
    }
}
