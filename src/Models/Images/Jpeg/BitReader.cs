namespace Nibble.Models.Images.Jpeg;

/// <summary>Bits of an entropy-coded segment, highest first, without the zero bytes stuffed after 0xFF. T.81, F.2.2.5.</summary>
ref struct BitReader(ReadOnlySpan<byte> file, int at)
{
    readonly ReadOnlySpan<byte> file = file;
    ulong bits; // the next bit is the highest; zeros beyond the last one
    int count;

    /// <summary>Where bytes are read next; never beyond a marker.</summary>
    public int At { get; private set; } = at;

    /// <summary>At least 32 bits, or all there are, can be peeked after this.</summary>
    public void Fill()
    {
        if (count >= 32)
            return;
        while (count <= 56 && At < file.Length)
        {
            var value = file[At];
            if (value == 0xFF)
            {
                if (At + 1 >= file.Length || file[At + 1] != 0)
                    return;
                At++;
            }
            At++;
            bits |= (ulong)value << 56 - count;
            count += 8;
        }
    }

    /// <summary>The next 1 to 32 bits; zeros where the segment has ended.</summary>
    public readonly int Peek(int n) => (int)(bits >> 64 - n);

    public void Skip(int n)
    {
        if (n > count)
            throw new InvalidDataException($"the picture data ends too early, at byte {At}.");
        bits <<= n;
        count -= n;
    }

    /// <summary>The next 1 to 16 bits.</summary>
    public int Read(int n)
    {
        Fill();
        var value = Peek(n);
        Skip(n);
        return value;
    }

    /// <summary>A value of so many bits; a leading zero says that it is negative. T.81, EXTEND of F.2.2.1.</summary>
    public int ReadSigned(int n)
    {
        if (n == 0)
            return 0;
        var value = Read(n);
        return value < 1 << n - 1 ? value - (1 << n) + 1 : value;
    }

    /// <summary>Goes on after the restart marker with this number.</summary>
    public void Restart(int number)
    {
        At = RestartMarker.Skip(file, At, number);
        bits = 0;
        count = 0;
    }
}
