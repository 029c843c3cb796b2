using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors;

/// <summary>
/// A dense array, row-major and contiguous, over a <see cref="Storage"/> that several tensors may share.
/// </summary>
public sealed unsafe class Tensor : IDisposable
{
    readonly long offset;

    /// <summary>A tensor over existing bytes, starting at <paramref name="offset"/>.</summary>
    /// <exception cref="ArgumentException">The storage is too small for the shape.</exception>
    public Tensor(Storage storage, long offset, Shape shape, DType type)
    {
        var bytes = checked(shape.Elements * type.Bytes());
        if (offset < 0 || offset > storage.Bytes - bytes)
            throw new ArgumentException($"{shape} {type.Name()} needs {bytes} bytes from {offset}; the storage has {storage.Bytes}.");
        Storage = storage;
        Shape = shape;
        DType = type;
        this.offset = offset;
    }

    public Storage Storage { get; }

    public Shape Shape { get; }

    public DType DType { get; }

    public long Elements => Shape.Elements;

    public long Bytes => Elements * DType.Bytes();

    /// <summary>The last dimension; 1 for a scalar.</summary>
    public int Columns => Shape.Rank == 0 ? 1 : (int)Shape[-1];

    /// <summary>The product of all dimensions but the last.</summary>
    public int Rows => Columns == 0 ? 0 : (int)(Elements / Columns);

    public byte* Pointer => Storage.Pointer + offset;

    /// <summary>A new tensor with undefined contents.</summary>
    public static Tensor Empty(Shape shape, DType type = DType.F32) =>
        new(new NativeStorage(checked(shape.Elements * type.Bytes())), 0, shape, type);

    public static Tensor Empty(params ReadOnlySpan<long> dimensions) => Empty(new Shape(dimensions));

    /// <summary>A new tensor filled with zero bytes.</summary>
    public static Tensor Zeros(Shape shape, DType type = DType.F32)
    {
        var tensor = Empty(shape, type);
        NativeMemory.Clear(tensor.Pointer, (nuint)tensor.Bytes);
        return tensor;
    }

    public static Tensor Zeros(params ReadOnlySpan<long> dimensions) => Zeros(new Shape(dimensions));

    /// <summary>A copy of managed values.</summary>
    public static Tensor From(ReadOnlySpan<float> values, params ReadOnlySpan<long> dimensions)
    {
        var tensor = Empty(dimensions.IsEmpty ? new Shape(values.Length) : new Shape(dimensions));
        values.CopyTo(tensor.Span<float>());
        return tensor;
    }

    /// <summary>All elements as <typeparamref name="T"/>, whose size must be the element size.</summary>
    public Span<T> Span<T>() where T : unmanaged
    {
        CheckSize<T>();
        return new Span<T>(Pointer, checked((int)Elements));
    }

    /// <summary>One row: the elements that share all indices but the last.</summary>
    public Span<T> Row<T>(int row) where T : unmanaged
    {
        CheckSize<T>();
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows);
        return new Span<T>((T*)Pointer + (long)row * Columns, Columns);
    }

    /// <summary>One row of an F32 tensor.</summary>
    public Span<float> Row(int row) => Row<float>(row);

    /// <summary>The same elements under another shape; the storage is shared.</summary>
    public Tensor Reshape(params ReadOnlySpan<long> dimensions)
    {
        var shape = new Shape(dimensions);
        if (shape.Elements != Elements)
            throw new ShapeException($"Reshape: {this} has {Elements} elements and cannot become {shape}.");
        return new Tensor(Storage, offset, shape, DType);
    }

    /// <summary><paramref name="count"/> entries of the first dimension from <paramref name="start"/>; the storage is shared.</summary>
    public Tensor Slice(long start, long count)
    {
        if (Shape.Rank == 0 || start < 0 || count < 0 || start > Shape[0] - count)
            throw new ShapeException($"Slice: {this} has no entries {start} to {start + count}.");
        Span<long> dimensions = [.. Shape.Dimensions];
        dimensions[0] = count;
        var stride = Shape[0] == 0 ? 0 : Elements / Shape[0] * DType.Bytes();
        return new Tensor(Storage, offset + start * stride, new Shape(dimensions), DType);
    }

    /// <summary>A copy in memory of its own.</summary>
    public Tensor Clone()
    {
        var copy = Empty(Shape, DType);
        Buffer.MemoryCopy(Pointer, copy.Pointer, copy.Bytes, Bytes);
        return copy;
    }

    /// <summary>Says that the elements are read soon; see <see cref="Storage.Prefetch"/>.</summary>
    public void Prefetch() => Storage.Prefetch(offset, Bytes);

    /// <summary>Says that the elements are not read soon; see <see cref="Storage.Evict"/>. They stay valid.</summary>
    public void Evict() => Storage.Evict(offset, Bytes);

    /// <summary>Releases the storage, for every tensor that shares it.</summary>
    public void Dispose() => Storage.Dispose();

    public override string ToString() => $"{Shape} {DType.Name()}";

    void CheckSize<T>() where T : unmanaged
    {
        if (sizeof(T) != DType.Bytes())
            throw new ShapeException($"{this} has elements of {DType.Bytes()} bytes, not {sizeof(T)} ({typeof(T).Name}).");
    }
}
