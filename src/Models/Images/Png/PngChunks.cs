using System.Buffers.Binary;
using System.Text;

namespace Nibble.Models.Images.Png;

/// <summary>The chunks of a PNG file, each with its checksum verified. PNG (third edition), clauses 5.3 and 5.5.</summary>
ref struct PngChunks(ReadOnlySpan<byte> file)
{
    static readonly uint[] CrcTable = MakeCrcTable();

    readonly ReadOnlySpan<byte> file = file;
    int at = PngDecoder.Signature.Length;

    /// <summary>Four characters, like IHDR.</summary>
    public string Type { get; private set; } = "";

    public ReadOnlySpan<byte> Data { get; private set; }

    /// <summary>False at the end of the file.</summary>
    public bool Next()
    {
        var rest = file[at..];
        if (rest.IsEmpty)
            return false;
        if (rest.Length < 12)
            throw new InvalidDataException($"the file ends inside a chunk header at byte {at}.");

        var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
        Type = Encoding.Latin1.GetString(rest.Slice(4, 4));
        if (length > rest.Length - 12)
            throw new InvalidDataException($"chunk {Type} at byte {at} says {length} bytes; {rest.Length - 12} are left.");
        Data = rest.Slice(8, (int)length);

        var stated = BinaryPrimitives.ReadUInt32BigEndian(rest[(8 + Data.Length)..]);
        var found = Crc(rest.Slice(4, 4 + Data.Length));
        if (stated != found)
            throw new InvalidDataException($"chunk {Type} at byte {at} has checksum {found:X8} and says {stated:X8}.");
        at += 12 + Data.Length;
        return true;
    }

    static uint Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = CrcTable[(byte)crc ^ value] ^ crc >> 8;
        return ~crc;
    }

    static uint[] MakeCrcTable()
    {
        var table = new uint[256];
        for (var i = 0u; i < 256; i++)
        {
            var remainder = i;
            for (var bit = 0; bit < 8; bit++)
                remainder = remainder >> 1 ^ ((remainder & 1) == 0 ? 0 : 0xEDB88320); // the polynomial, lowest power last
            table[i] = remainder;
        }
        return table;
    }
}
