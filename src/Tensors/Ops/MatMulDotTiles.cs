using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// The micro-kernels of the product with few tokens: dot products of four rows of W with one, two or four tokens. Dot product
/// (row r, token t) goes to sums[4t + r]. Fewer than four rows repeat the last one and are not asked for.
/// </summary>
readonly unsafe struct MatMulDotTiles<L, V, E, T>
    where L : struct, ILanes<V> where V : struct where E : struct, IElement<T> where T : unmanaged
{
    // How far ahead one row is fetched: the best of 1, 2 and 4 KiB.
    const int AheadBytes = 4096;

    const int LineBytes = 64;

    readonly T* w0, w1, w2, w3;

    public MatMulDotTiles(T* w, nint stride, int rows)
    {
        w0 = w;
        w1 = rows > 1 ? w + stride : w;
        w2 = rows > 2 ? w1 + stride : w1;
        w3 = rows > 3 ? w2 + stride : w2;
    }

    /// <summary>Tokens of the next tile when this many are left.</summary>
    public static int TokensOf(int left) => left >= 4 && L.TileTokens >= 4 ? 4 : left >= 2 ? 2 : 1;

    /// <param name="x">The first token; the next is <paramref name="stride"/> elements on.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Run(int tokens, float* x, nint stride, int columns, float* sums)
    {
        switch (tokens)
        {
            case 4: Four(w0, w1, w2, w3, x, stride, columns, sums); break;
            case 2: Two(w0, w1, w2, w3, x, stride, columns, sums); break;
            default: One(w0, w1, w2, w3, x, columns, sums); break;
        }
    }

    /// <summary>Row after row, so that memory sees one stream; side by side they reach two thirds of the rate.</summary>
    static void One(T* w0, T* w1, T* w2, T* w3, float* x, int columns, float* sums)
    {
        sums[0] = Dot(w0, x, columns);
        sums[1] = w1 == w0 ? 0 : Dot(w1, x, columns);
        sums[2] = w2 == w1 ? 0 : Dot(w2, x, columns);
        sums[3] = w3 == w2 ? 0 : Dot(w3, x, columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Dot(T* w, float* x, int columns)
    {
        V a = default, b = default, c = default, d = default;
        nint k = 0;
        for (; k <= columns - 4 * L.Width; k += 4 * L.Width)
        {
            Fetch(w + k, AheadBytes, 4 * L.Width * sizeof(T));
            a = L.MultiplyAdd(L.Load(x + k), E.Load<L, V>(w + k), a);
            b = L.MultiplyAdd(L.Load(x + k + L.Width), E.Load<L, V>(w + k + L.Width), b);
            c = L.MultiplyAdd(L.Load(x + k + 2 * L.Width), E.Load<L, V>(w + k + 2 * L.Width), c);
            d = L.MultiplyAdd(L.Load(x + k + 3 * L.Width), E.Load<L, V>(w + k + 3 * L.Width), d);
        }
        for (; k <= columns - L.Width; k += L.Width)
            a = L.MultiplyAdd(L.Load(x + k), E.Load<L, V>(w + k), a);
        var sum = L.Sum(L.Add(L.Add(a, b), L.Add(c, d)));
        for (; k < columns; k++)
            sum += E.Load(w + k) * x[k];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Two(T* w0, T* w1, T* w2, T* w3, float* x, nint stride, int columns, float* sums)
    {
        var y = x + stride;
        var next = w3 + (w3 - w2);
        V a0 = default, a1 = default, a2 = default, a3 = default;
        V b0 = default, b1 = default, b2 = default, b3 = default;
        nint k = 0;
        for (; k <= columns - L.Width; k += L.Width)
        {
            FetchNext(next + 4 * k);
            V xa = L.Load(x + k), xb = L.Load(y + k);
            Step(E.Load<L, V>(w0 + k), xa, xb, ref a0, ref b0);
            Step(E.Load<L, V>(w1 + k), xa, xb, ref a1, ref b1);
            Step(E.Load<L, V>(w2 + k), xa, xb, ref a2, ref b2);
            Step(E.Load<L, V>(w3 + k), xa, xb, ref a3, ref b3);
        }
        Put(a0, a1, a2, a3, sums);
        Put(b0, b1, b2, b3, sums + 4);
        Rest(w0, w1, w2, w3, x + k, (int)k, columns, sums);
        Rest(w0, w1, w2, w3, y + k, (int)k, columns, sums + 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Four(T* w0, T* w1, T* w2, T* w3, float* x, nint stride, int columns, float* sums)
    {
        float* x1 = x + stride, x2 = x1 + stride, x3 = x2 + stride;
        var next = w3 + (w3 - w2);
        V a0 = default, a1 = default, a2 = default, a3 = default;
        V b0 = default, b1 = default, b2 = default, b3 = default;
        V c0 = default, c1 = default, c2 = default, c3 = default;
        V d0 = default, d1 = default, d2 = default, d3 = default;
        nint k = 0;
        for (; k <= columns - L.Width; k += L.Width)
        {
            FetchNext(next + 4 * k);
            V xa = L.Load(x + k), xb = L.Load(x1 + k), xc = L.Load(x2 + k), xd = L.Load(x3 + k);
            var w = E.Load<L, V>(w0 + k);
            Step(w, xa, xb, ref a0, ref b0);
            Step(w, xc, xd, ref c0, ref d0);
            w = E.Load<L, V>(w1 + k);
            Step(w, xa, xb, ref a1, ref b1);
            Step(w, xc, xd, ref c1, ref d1);
            w = E.Load<L, V>(w2 + k);
            Step(w, xa, xb, ref a2, ref b2);
            Step(w, xc, xd, ref c2, ref d2);
            w = E.Load<L, V>(w3 + k);
            Step(w, xa, xb, ref a3, ref b3);
            Step(w, xc, xd, ref c3, ref d3);
        }
        Put(a0, a1, a2, a3, sums);
        Put(b0, b1, b2, b3, sums + 4);
        Put(c0, c1, c2, c3, sums + 8);
        Put(d0, d1, d2, d3, sums + 12);
        for (var t = 0; t < 4; t++)
            Rest(w0, w1, w2, w3, x + t * stride + k, (int)k, columns, sums + 4 * t);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Step(V w, V x, V y, ref V sumX, ref V sumY)
    {
        sumX = L.MultiplyAdd(x, w, sumX);
        sumY = L.MultiplyAdd(y, w, sumY);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put(V s0, V s1, V s2, V s3, float* sums)
    {
        sums[0] = L.Sum(s0);
        sums[1] = L.Sum(s1);
        sums[2] = L.Sum(s2);
        sums[3] = L.Sum(s3);
    }

    /// <summary>
    /// The columns from <paramref name="k"/> on, which fill no register. <paramref name="x"/> is already there.
    /// </summary>
    static void Rest(T* w0, T* w1, T* w2, T* w3, float* x, int k, int columns, float* sums)
    {
        for (; k < columns; k++, x++)
        {
            sums[0] += E.Load(w0 + k) * *x;
            sums[1] += E.Load(w1 + k) * *x;
            sums[2] += E.Load(w2 + k) * *x;
            sums[3] += E.Load(w3 + k) * *x;
        }
    }

    /// <summary>Fetches the lines of <paramref name="bytes"/> bytes, some way after an address. May point past the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fetch(T* address, int ahead, int bytes)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0((byte*)address + ahead);
        if (bytes > LineBytes)
            Sse.Prefetch0((byte*)address + ahead + LineBytes);
        if (bytes > 2 * LineBytes)
        {
            Sse.Prefetch0((byte*)address + ahead + 2 * LineBytes);
            Sse.Prefetch0((byte*)address + ahead + 3 * LineBytes);
        }
    }

    /// <summary>
    /// The next four rows follow the present ones: while one register's width of each is used, as much of those is fetched, in
    /// order. Into the second level, for the first may be too small for eight rows.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void FetchNext(T* address)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch1(address);
        if (4 * L.Width * sizeof(T) > LineBytes)
            Sse.Prefetch1((byte*)address + LineBytes);
        if (4 * L.Width * sizeof(T) > 2 * LineBytes)
        {
            Sse.Prefetch1((byte*)address + 2 * LineBytes);
            Sse.Prefetch1((byte*)address + 3 * LineBytes);
        }
    }
}
