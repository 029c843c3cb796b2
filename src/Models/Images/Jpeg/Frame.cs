using System.Buffers.Binary;

namespace Nibble.Models.Images.Jpeg;

enum Coding
{
    Sequential,           // Huffman
    Progressive,          // Huffman
    ArithmeticSequential,
}

/// <summary>A frame header. T.81, B.2.2 and the sizes of A.1.1 and A.2.</summary>
sealed class Frame
{
    const int BlockBits = 1; // every block takes at least one bit of a Huffman-coded file

    public required Coding Coding { get; init; }

    public required int Width { get; init; }

    public required int Height { get; init; }

    public required Component[] Components { get; init; }

    public required int HMax { get; init; }

    public required int VMax { get; init; }

    /// <summary>Minimum coded units across and down, of 8·HMax x 8·VMax pixels.</summary>
    public int McusAcross => (Width + 8 * HMax - 1) / (8 * HMax);

    public int McusDown => (Height + 8 * VMax - 1) / (8 * VMax);

    /// <param name="fileBytes">Length of the file, against which the picture's size is held.</param>
    public static Frame Parse(Coding coding, ReadOnlySpan<byte> data, long fileBytes)
    {
        if (data.Length < 6)
            throw new InvalidDataException($"a frame header has {data.Length} bytes; at least 6 are expected.");
        int height = BinaryPrimitives.ReadUInt16BigEndian(data[1..]), width = BinaryPrimitives.ReadUInt16BigEndian(data[3..]);
        int precision = data[0], count = data[5];
        if (precision != 8)
            throw new InvalidDataException($"samples of {precision} bits; only 8 bits are supported.");
        ImageDecoder.CheckSize(width, height);
        if (count is not (1 or 3 or 4) || data.Length != 6 + 3 * count)
            throw new InvalidDataException($"{count} components in a frame header of {data.Length} bytes; 1, 3 or 4 may be.");

        var (hMax, vMax) = (1, 1);
        for (var i = 0; i < count; i++)
        {
            var (h, v) = (data[7 + 3 * i] >> 4, data[7 + 3 * i] & 15);
            if (h is < 1 or > 4 || v is < 1 or > 4)
                throw new InvalidDataException($"component {i} has sampling factors {h} x {v}; 1 to 4 exist.");
            (hMax, vMax) = (Math.Max(hMax, h), Math.Max(vMax, v));
        }

        var components = new Component[count];
        var frame = new Frame
        {
            Coding = coding,
            Width = width,
            Height = height,
            Components = components,
            HMax = hMax,
            VMax = vMax,
        };
        for (var i = 0; i < count; i++)
            components[i] = new Component(data.Slice(6 + 3 * i, 3), frame);

        // An arithmetic coder has no such bound: it can spend less than a thousandth of a bit on an empty block.
        var blocks = components.Sum(component => (long)component.PaddedAcross * component.PaddedDown);
        if (coding != Coding.ArithmeticSequential && blocks * BlockBits > 8 * fileBytes)
            throw new InvalidDataException($"{width} x {height} pixels cannot come out of a file of {fileBytes} bytes.");
        foreach (var component in components)
            component.Allocate(coding);
        return frame;
    }
}
