using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>Back through y = x·Wᵀ: dx = dy·W.</summary>
public static unsafe class LinearGradient
{
    /// <param name="dy">[T, out] F32.</param>
    /// <param name="w">[out, in], decoded piece by piece.</param>
    /// <param name="dx">[T, in] F32; not <paramref name="dy"/>.</param>
    /// <param name="add">Whether the product is added to what <paramref name="dx"/> holds.</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor dy, IWeightRows w, Tensor dx, bool add = false) => Apply(dy, w, dx, add, HostTarget.Default);

    internal static void Apply(Tensor dy, IWeightRows w, Tensor dx, bool add, HostTarget target)
    {
        Expect.Type(dy, DType.F32);
        Expect.Type(dx, DType.F32);
        Expect.Columns(dy, w.Rows);
        Expect.Columns(dx, w.Columns);
        Expect.Leading(dx, Expect.LeadingOf(dy));
        if (w.Rows == 0 && !add)
            dx.Span<float>().Clear();
        else if (w.Rows > 0 && w.Columns > 0)
        {
            var product = new MatMulBlocks<LeftRows, RightDecodedRows>(
                new LeftRows((float*)dy.Pointer, w.Rows), new RightDecodedRows(w), (int)Expect.LeadingOf(dx), w.Columns, w.Rows,
                (float*)dx.Pointer, target.Workers)
            {
                Add = add,
            };
            Levels.Run(target.Level, product);
        }
        GC.KeepAlive(dy);
        GC.KeepAlive(dx);
        GC.KeepAlive(w);
    }

    /// <summary>dx[t, i] = Σₒ dy[t, o] · w[o, i].</summary>
    internal static void Definition(Tensor dy, IWeightRows w, Span<double> dx)
    {
        var row = new float[w.Columns];
        dx.Clear();
        for (var o = 0; o < w.Rows; o++)
        {
            w.Decode(o, 0, row);
            for (var t = 0; t < dy.Rows; t++)
                for (var i = 0; i < row.Length; i++)
                    dx[t * w.Columns + i] += (double)dy.Row(t)[o] * row[i];
        }
    }

    /// <summary>B is W itself: a stretch of each of its rows is decoded into the sliver.</summary>
    readonly struct RightDecodedRows(IWeightRows w) : IRightOperand
    {
        public static int ScratchFloats => 0;

        public void Fill<L, V>(int column, int columns, int k, int steps, float* sliver, float* scratch)
            where L : struct, ILanes<V> where V : struct
        {
            for (var s = 0; s < steps; s++, sliver += 2 * L.Width)
            {
                w.Decode(k + s, column, new Span<float>(sliver, columns));
                new Span<float>(sliver + columns, 2 * L.Width - columns).Clear();
            }
        }
    }
}
