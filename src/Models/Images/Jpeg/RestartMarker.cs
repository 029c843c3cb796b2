namespace Nibble.Models.Images.Jpeg;

static class RestartMarker
{
    /// <summary>The place after the restart marker that must stand at <paramref name="at"/>. T.81, F.2.2.4.</summary>
    public static int Skip(ReadOnlySpan<byte> file, int at, int number)
    {
        while (at + 1 < file.Length && file[at] == 0xFF && file[at + 1] == 0xFF) // fill bytes
            at++;
        if (at + 1 >= file.Length || file[at] != 0xFF || file[at + 1] != 0xD0 + number)
            throw new InvalidDataException($"restart marker {number} is missing at byte {at}.");
        return at + 2;
    }
}
