using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Matrix products. Results are the same whatever the number of threads; they differ in rounding between CPU levels, and between
/// a few tokens and many. Infinities and NaN arrive where the formula puts them. The result must not overlap an argument.
/// </summary>
public static unsafe class MatMul
{
    /// <summary>
    /// Up to this many tokens the rows of W are dotted as they lie; beyond it they are packed. See perf/log.md.
    /// </summary>
    internal const int FewTokens = 16;

    /// <summary>y = x·Wᵀ with x [T, in] F32, w [out, in] F32, BF16 or F16, and y [T, out] F32.</summary>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static void Apply(Tensor x, Tensor w, Tensor y) => Apply(x, w, y, HostTarget.Default);

    /// <summary>
    /// y = x·Wᵀ for packed weights, which are decoded piece by piece: x [T, in] F32, w [out, in], y [T, out] F32.
    /// </summary>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static void Apply(Tensor x, IWeightRows w, Tensor y) => Apply(x, w, y, HostTarget.Default);

    /// <summary>C = A·B with a [M, K], b [K, N] and c [M, N], all F32.</summary>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static void Multiply(Tensor a, Tensor b, Tensor c) => Multiply(a, b, c, HostTarget.Default);

    /// <summary>
    /// H += xᵀ·x with x [T, in] and h [in, in], both F32: what T more tokens add to the second moments. h must be symmetric:
    /// only its lower triangle is read, and the upper one is written as its mirror image.
    /// </summary>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static void Gram(Tensor x, Tensor h) => Gram(x, h, HostTarget.Default);

    /// <summary>
    /// C += aᵀ·b with a [T, M], b [T, N] and c [M, N], all F32: what T more tokens add to the cross moments.
    /// </summary>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static void CrossGram(Tensor a, Tensor b, Tensor c) => CrossGram(a, b, c, HostTarget.Default);

    internal static void Apply(Tensor x, Tensor w, Tensor y, HostTarget target)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(y, DType.F32);
        Expect.Matrix(w);
        Expect.Columns(x, w.Shape[1]);
        Expect.Columns(y, w.Shape[0]);
        Expect.Leading(y, Expect.LeadingOf(x));

        switch (w.DType)
        {
            case DType.F32:
                Apply<F32Element, float>(x, w, y, target);
                break;
            case DType.BF16:
                Apply<BF16Element, ushort>(x, w, y, target);
                break;
            case DType.F16:
                Apply<F16Element, ushort>(x, w, y, target);
                break;
            default:
                throw new ShapeException($"MatMul: w must be F32, BF16 or F16; got w = {w}.");
        }
    }

    internal static void Apply(Tensor x, IWeightRows w, Tensor y, HostTarget target)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(y, DType.F32);
        Expect.Columns(x, w.Columns);
        Expect.Columns(y, w.Rows);
        Expect.Leading(y, Expect.LeadingOf(x));

        var tokens = (int)Expect.LeadingOf(x);
        float* from = (float*)x.Pointer, to = (float*)y.Pointer;
        if (w.Columns == 0)
            y.Span<float>().Clear();
        else if (tokens <= FewTokens)
            Levels.Run(target.Level, new MatMulDots<F32Element, float, DecodedDotRows>(
                new DecodedDotRows(w), w.Rows, w.Columns, from, tokens, to, target.Workers));
        else
            Levels.Run(target.Level, new MatMulBlocks<LeftRows, RightDecoded>(
                new LeftRows(from, w.Columns), new RightDecoded(w), tokens, w.Rows, w.Columns, to, target.Workers));
        GC.KeepAlive(x);
        GC.KeepAlive(y);
    }

    internal static void Multiply(Tensor a, Tensor b, Tensor c, HostTarget target)
    {
        Expect.Type(a, DType.F32);
        Expect.Type(b, DType.F32);
        Expect.Type(c, DType.F32);
        Expect.Matrix(a);
        Expect.Matrix(b);
        Expect.Shape(b, new Shape(a.Shape[1], b.Shape[1]));
        Expect.Shape(c, new Shape(a.Shape[0], b.Shape[1]));

        if (a.Columns == 0)
            c.Span<float>().Clear();
        else
            Levels.Run(target.Level, new MatMulBlocks<LeftRows, RightRows>(
                new LeftRows((float*)a.Pointer, a.Columns), new RightRows((float*)b.Pointer, b.Columns),
                (int)c.Shape[0], c.Columns, a.Columns, (float*)c.Pointer, target.Workers));
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(c);
    }

    internal static void Gram(Tensor x, Tensor h, HostTarget target)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(h, DType.F32);
        Expect.Shape(h, new Shape(x.Columns, x.Columns));

        var (from, to, width) = ((nint)x.Pointer, (nint)h.Pointer, x.Columns);
        var product = new MatMulBlocks<LeftColumns, RightRows>(
            new LeftColumns((float*)from, width), new RightRows((float*)from, width),
            width, width, x.Rows, (float*)to, target.Workers)
        {
            Add = true,
            Lower = true,
        };
        Levels.Run(target.Level, product);
        Levels.Run(target.Level, new Mirror((float*)to, width, target.Workers));
        GC.KeepAlive(x);
        GC.KeepAlive(h);
    }

    internal static void CrossGram(Tensor a, Tensor b, Tensor c, HostTarget target)
    {
        Expect.Type(a, DType.F32);
        Expect.Type(b, DType.F32);
        Expect.Type(c, DType.F32);
        Expect.Shape(b, new Shape(a.Rows, b.Columns));
        Expect.Shape(c, new Shape(a.Columns, b.Columns));

        Levels.Run(target.Level, new MatMulBlocks<LeftColumns, RightRows>(
            new LeftColumns((float*)a.Pointer, a.Columns), new RightRows((float*)b.Pointer, b.Columns),
            a.Columns, b.Columns, a.Rows, (float*)c.Pointer, target.Workers)
        { Add = true });
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(c);
    }

    /// <summary>y[t, o] = Σᵢ x[t, i] · w[o, i].</summary>
    internal static void Definition(Tensor x, IWeightRows w, Span<double> y)
    {
        var row = new float[w.Columns];
        for (var o = 0; o < w.Rows; o++)
        {
            w.Decode(o, 0, row);
            for (var t = 0; t < y.Length / w.Rows; t++)
            {
                var token = x.Row(t);
                var sum = 0.0;
                for (var i = 0; i < row.Length; i++)
                    sum += (double)token[i] * row[i];
                y[t * w.Rows + o] = sum;
            }
        }
    }

    static void Apply<E, T>(Tensor x, Tensor w, Tensor y, HostTarget target)
        where E : struct, IElement<T> where T : unmanaged
    {
        var tokens = (int)Expect.LeadingOf(x);
        var rows = (int)w.Shape[0];
        float* from = (float*)x.Pointer, to = (float*)y.Pointer;
        var weight = (T*)w.Pointer;
        if (w.Columns == 0)
            y.Span<float>().Clear();
        else if (tokens <= FewTokens)
            Levels.Run(target.Level, new MatMulDots<E, T, StoredDotRows<T>>(
                new StoredDotRows<T>(weight, w.Columns), rows, w.Columns, from, tokens, to, target.Workers));
        else
            Levels.Run(target.Level, new MatMulBlocks<LeftRows, RightWeight<E, T>>(
                new LeftRows(from, w.Columns), new RightWeight<E, T>(weight, w.Columns),
                tokens, rows, w.Columns, to, target.Workers));
        GC.KeepAlive(x);
        GC.KeepAlive(w);
        GC.KeepAlive(y);
    }
}
