using System.Runtime.CompilerServices;

namespace Nibble.Tensors;

/// <summary>
/// Shapes or element types that do not fit. The message names the operation, the arguments and what was expected.
/// </summary>
public sealed class ShapeException(string message) : ArgumentException(message);

/// <summary>Argument checks of the ops. The caller's file name is the operation's name.</summary>
static class Expect
{
    public static void Type(Tensor tensor, DType type,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (tensor.DType != type)
            throw new ShapeException($"{Op(op)}: {name} must be {type.Name()}; got {name} = {tensor}.");
    }

    public static void Columns(Tensor tensor, long columns,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (tensor.Columns != columns)
            throw new ShapeException($"{Op(op)}: {name} must have {columns} columns; got {name} = {tensor}.");
    }

    /// <summary>Rank 2 with dimensions below 2³¹.</summary>
    public static void Matrix(Tensor tensor,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (tensor.Shape.Rank != 2 || tensor.Shape[0] > int.MaxValue || tensor.Shape[1] > int.MaxValue)
            throw new ShapeException($"{Op(op)}: {name} must be a matrix; got {name} = {tensor}.");
    }

    /// <summary>The product of all dimensions but the last, which <see cref="Tensor.Rows"/> loses when the last is 0.</summary>
    public static long LeadingOf(Tensor tensor)
    {
        long rows = 1;
        for (var axis = 0; axis < tensor.Shape.Rank - 1; axis++)
            rows = checked(rows * tensor.Shape[axis]);
        return rows;
    }

    public static void Leading(Tensor tensor, long rows,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (LeadingOf(tensor) != rows)
            throw new ShapeException($"{Op(op)}: {name} must have {rows} rows; got {name} = {tensor}.");
    }

    public static void Elements(Tensor tensor, long elements,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (tensor.Elements != elements)
            throw new ShapeException($"{Op(op)}: {name} must have {elements} elements; got {name} = {tensor}.");
    }

    public static void Shape(Tensor tensor, Shape shape,
        [CallerArgumentExpression(nameof(tensor))] string name = "", [CallerFilePath] string op = "")
    {
        if (tensor.Shape != shape)
            throw new ShapeException($"{Op(op)}: {name} must have the shape {shape}; got {name} = {tensor}.");
    }

    public static void Same(Tensor tensor, Tensor other,
        [CallerArgumentExpression(nameof(tensor))] string name = "",
        [CallerArgumentExpression(nameof(other))] string otherName = "", [CallerFilePath] string op = "")
    {
        if (tensor.Shape != other.Shape || tensor.DType != other.DType)
            throw new ShapeException($"{Op(op)}: {name} and {otherName} must have the same shape and type; " +
                $"got {name} = {tensor}, {otherName} = {other}.");
    }

    public static void Length(int length, int expected,
        [CallerArgumentExpression(nameof(length))] string name = "", [CallerFilePath] string op = "")
    {
        if (length != expected)
            throw new ShapeException($"{Op(op)}: {name} must be {expected}; got {length}.");
    }

    static string Op(string path) => Path.GetFileNameWithoutExtension(path);
}
