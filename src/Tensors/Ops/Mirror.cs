using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>Copies the lower triangle of a square matrix to the upper one, in blocks that are transposed in registers.</summary>
readonly unsafe struct Mirror(float* matrix, int width, Workers workers) : ILevelWork
{
    // A multiple of every register width.
    const int RunRows = 32;

    public void Run<L, V>() where L : struct, ILanes<V> where V : struct =>
        workers.For(width, RunRows, new Rows<L, V>(matrix, width));

    readonly struct Rows<L, V>(float* matrix, nint width) : IRangeBody
        where L : struct, ILanes<V> where V : struct
    {
        public void Run(int start, int end)
        {
            for (nint row = start; row < end; row += L.Width)
            {
                nint column = 0;
                if (row + L.Width <= end)
                    for (; column < row; column += L.Width)
                        L.Transpose<F32Element, float>(
                            matrix + row * width + column, width, matrix + column * width + row, width);
                for (var r = row; r < Math.Min(row + L.Width, end); r++)
                    for (var c = column; c < r; c++)
                        matrix[c * width + r] = matrix[r * width + c];
            }
        }
    }
}
