using System.Buffers.Binary;

namespace Nibble.Tests.Models.Images;

/// <summary>Makes the checksums of a PNG fit its chunks again. PNG (third edition), clause 5.5, bit by bit.</summary>
static class Checksum
{
    public static void Repair(Span<byte> file)
    {
        for (var at = 8; at + 12 <= file.Length;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(file[at..]);
            if (length > file.Length - at - 12)
                return;
            BinaryPrimitives.WriteUInt32BigEndian(file[(at + 8 + (int)length)..], Crc(file.Slice(at + 4, 4 + (int)length)));
            at += 12 + (int)length;
        }
    }

    static uint Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB88320;
        }
        return ~crc;
    }
}
