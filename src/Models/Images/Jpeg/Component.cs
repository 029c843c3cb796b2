namespace Nibble.Models.Images.Jpeg;

/// <summary>One colour component of a frame: its size, what has been decoded of it, and its samples.</summary>
sealed class Component
{
    /// <param name="specification">Three bytes of the frame header: identifier, sampling factors, quantization table.</param>
    public Component(ReadOnlySpan<byte> specification, Frame frame)
    {
        Id = specification[0];
        H = specification[1] >> 4;
        V = specification[1] & 15;
        QuantizationTable = specification[2];
        if (frame.HMax % H != 0 || frame.VMax % V != 0)
            throw new InvalidDataException($"sampling factors {H} x {V} do not divide the largest, {frame.HMax} x {frame.VMax}.");
        if (QuantizationTable > 3)
            throw new InvalidDataException($"quantization table {QuantizationTable}; 0 to 3 exist.");

        HorizontalRatio = frame.HMax / H;
        VerticalRatio = frame.VMax / V;
        Width = (frame.Width + HorizontalRatio - 1) / HorizontalRatio;
        Height = (frame.Height + VerticalRatio - 1) / VerticalRatio;
        PaddedAcross = frame.McusAcross * H;
        PaddedDown = frame.McusDown * V;
    }

    public byte Id { get; }

    /// <summary>Blocks of this component in a minimum coded unit, across and down.</summary>
    public int H { get; }

    public int V { get; }

    public int QuantizationTable { get; }

    /// <summary>Pixels per sample.</summary>
    public int HorizontalRatio { get; }

    public int VerticalRatio { get; }

    /// <summary>Samples that belong to the picture.</summary>
    public int Width { get; }

    public int Height { get; }

    /// <summary>Blocks that hold them: what a scan of this component alone contains.</summary>
    public int BlocksAcross => (Width + 7) / 8;

    public int BlocksDown => (Height + 7) / 8;

    /// <summary>Blocks up to whole minimum coded units.</summary>
    public int PaddedAcross { get; }

    public int PaddedDown { get; }

    /// <summary>The table in force when the component's first scan began, in row order; null before.</summary>
    public ushort[]? Quantization { get; set; }

    /// <summary>Per coefficient of a progressive picture, the lowest bit decoded so far; -1 before the first scan.</summary>
    public int[] LowestBit { get; } = [.. Enumerable.Repeat(-1, 64)];

    /// <summary>[PaddedDown * 8, PaddedAcross * 8].</summary>
    public byte[] Samples { get; private set; } = [];

    int Stride => 8 * PaddedAcross;

    short[] coefficients = []; // [PaddedDown, PaddedAcross, 64] of a progressive picture

    public void Allocate(Coding coding)
    {
        Samples = new byte[64 * PaddedAcross * PaddedDown];
        if (coding == Coding.Progressive)
            coefficients = new short[64 * PaddedAcross * PaddedDown];
    }

    /// <summary>One row of samples that belong to the picture.</summary>
    public ReadOnlySpan<byte> Row(int y) => Samples.AsSpan(y * Stride, Width);

    /// <summary>The coefficients of a block of a progressive picture, in row order.</summary>
    public Span<short> Block(int x, int y) => coefficients.AsSpan(64 * (y * PaddedAcross + x), 64);

    /// <summary>Turns a block's coefficients into its samples.</summary>
    public void Reconstruct(ReadOnlySpan<short> block, int x, int y) =>
        InverseDct.Apply(block, Quantization, Samples.AsSpan(8 * (y * Stride + x)), Stride);
}
