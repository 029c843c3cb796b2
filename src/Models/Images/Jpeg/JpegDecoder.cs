using System.Buffers.Binary;

namespace Nibble.Models.Images.Jpeg;

/// <summary>
/// JPEG (ITU-T T.81), 8 bits, sequential (Huffman or arithmetic) and progressive (Huffman), to the RGB bytes that Pillow gives.
/// </summary>
ref struct JpegDecoder
{
    /// <summary>Of a progressive picture; encoders write about ten. Each takes few bytes and a pass over all blocks.</summary>
    const int MaxScans = 256;

    readonly ReadOnlySpan<byte> file;
    readonly JpegTables tables = new();
    Frame? frame;
    int at = 2; // after SOI
    int scans;
    bool jfif;
    int? adobeTransform;
    int orientation = Orientation.Upright;

    JpegDecoder(ReadOnlySpan<byte> file) => this.file = file;

    public static bool Recognises(ReadOnlySpan<byte> file) => file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]);

    /// <returns>The picture as stored, and the EXIF orientation it is to be shown in.</returns>
    public static (Image Image, int Orientation) Decode(ReadOnlySpan<byte> file)
    {
        var decoder = new JpegDecoder(file);
        decoder.ReadSegments();
        return (decoder.Assemble(), decoder.orientation);
    }

    void ReadSegments()
    {
        while (true)
        {
            var marker = NextMarker();
            if (marker == 0xD9) // EOI
                return;
            if (marker is 0x01 or >= 0xD0 and <= 0xD7) // TEM, RST: no data
                continue;
            if (file.Length - at < 2)
                throw new InvalidDataException($"the file ends at marker {marker:X2}.");
            int start = at, length = BinaryPrimitives.ReadUInt16BigEndian(file[at..]);
            if (length < 2 || length > file.Length - at)
                throw new InvalidDataException(
                    $"marker {marker:X2} at byte {at} says {length} bytes; the file has {file.Length - at} left.");
            at += length;
            ReadSegment(marker, file[(start + 2)..at]);
        }
    }

    int NextMarker()
    {
        if (scans > 0) // what a scan leaves behind is skipped, as by libjpeg
            while (at + 1 < file.Length && (file[at] != 0xFF || file[at + 1] == 0))
                at++;
        var start = at;
        while (at < file.Length && file[at] == 0xFF)
            at++;
        if (at == file.Length)
            throw new InvalidDataException("the file ends before the end-of-image marker.");
        if (at == start || file[at] == 0)
            throw new InvalidDataException($"a marker is expected at byte {start}; there is {file[start]:X2}.");
        return file[at++];
    }

    void ReadSegment(int marker, ReadOnlySpan<byte> data)
    {
        switch (marker)
        {
            case 0xC0 or 0xC1 or 0xC2 or 0xC9:
                if (frame is not null)
                    throw new InvalidDataException("a second frame header.");
                var coding = marker == 0xC2 ? Coding.Progressive
                    : marker == 0xC9 ? Coding.ArithmeticSequential
                    : Coding.Sequential;
                frame = Frame.Parse(coding, data, file.Length);
                break;
            case 0xC4:
                tables.DefineHuffman(data);
                break;
            case 0xCC:
                tables.DefineConditioning(data);
                break;
            case >= 0xC3 and <= 0xCF:
                throw new InvalidDataException(
                    $"frames of kind {marker & 15} (lossless, hierarchical, arithmetic progressive) are not supported.");
            case 0xDA:
                ReadScan(data);
                break;
            case 0xDB:
                tables.DefineQuantization(data);
                break;
            case 0xDD:
                tables.DefineRestartInterval(data);
                break;
            case 0xE0 when data.Length >= 12 && data.StartsWith("JFIF\0"u8):
                jfif = true;
                break;
            case 0xE1 when data.StartsWith("Exif\0\0"u8):
                orientation = Orientation.Parse(data[6..]);
                break;
            case 0xEE when data.Length >= 12 && data.StartsWith("Adobe"u8):
                adobeTransform = data[11];
                break;
        }
    }

    void ReadScan(ReadOnlySpan<byte> data)
    {
        if (frame is null)
            throw new InvalidDataException("a scan comes before the frame header.");
        if (++scans > MaxScans)
            throw new InvalidDataException($"more than {MaxScans} scans.");
        var scan = Scan.Parse(data, frame);
        if (frame.Coding == Coding.Progressive)
            ProgressiveScan.CheckOrder(scan);
        foreach (var (component, _, _) in scan.Components)
        {
            if (frame.Coding != Coding.Progressive && component.Quantization is not null)
                throw new InvalidDataException($"component {component.Id} is scanned twice.");
            component.Quantization ??= tables.Quantization(component.QuantizationTable);
        }

        switch (frame.Coding)
        {
            case Coding.Sequential:
                var sequential = new SequentialScan(file, at, tables);
                at = scan.Run(ref sequential, frame, tables.RestartInterval);
                break;
            case Coding.Progressive:
                var progressive = new ProgressiveScan(file, at, tables, scan);
                at = scan.Run(ref progressive, frame, tables.RestartInterval);
                break;
            case Coding.ArithmeticSequential:
                var arithmetic = new ArithmeticScan(file, at, tables);
                at = scan.Run(ref arithmetic, frame, tables.RestartInterval);
                break;
        }
    }

    readonly Image Assemble()
    {
        if (frame is null)
            throw new InvalidDataException("there is no frame header.");
        foreach (var component in frame.Components)
        {
            if (component.Quantization is null)
                throw new InvalidDataException($"component {component.Id} has no scan.");
            if (frame.Coding == Coding.Progressive)
                for (var y = 0; y < component.BlocksDown; y++)
                    for (var x = 0; x < component.BlocksAcross; x++)
                        component.Reconstruct(component.Block(x, y), x, y);
        }

        var model = Colour.Choose(frame, jfif, adobeTransform);
        var image = new Image(frame.Width, frame.Height, new byte[3 * frame.Width * frame.Height]);
        var rows = new byte[4][];
        for (var i = 0; i < 4; i++)
            rows[i] = i < frame.Components.Length ? new byte[8 * frame.HMax * frame.McusAcross] : [];
        for (var y = 0; y < frame.Height; y++)
        {
            for (var i = 0; i < frame.Components.Length; i++)
                Upsampling.Row(frame.Components[i], y, rows[i]);
            Colour.ToRgb(model, rows, image.Row(y));
        }
        return image;
    }
}
