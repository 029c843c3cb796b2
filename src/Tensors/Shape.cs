namespace Nibble.Tensors;

/// <summary>The dimensions of a tensor, outermost first. A shape of rank 0 holds one element.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    readonly long[]? dimensions;

    public Shape(params ReadOnlySpan<long> dimensions)
    {
        long elements = 1;
        foreach (var dimension in dimensions)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(dimension);
            elements = checked(elements * dimension);
        }
        this.dimensions = dimensions.ToArray();
        Elements = elements;
    }

    /// <summary>The product of the dimensions.</summary>
    public long Elements { get => dimensions is null ? 1 : field; }

    public int Rank => dimensions?.Length ?? 0;

    /// <summary>One dimension; negative indices count from the end.</summary>
    public long this[int axis] => Dimensions[axis < 0 ? Rank + axis : axis];

    public ReadOnlySpan<long> Dimensions => dimensions;

    public bool Equals(Shape other) => Dimensions.SequenceEqual(other.Dimensions);

    public override bool Equals(object? other) => other is Shape shape && Equals(shape);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var dimension in Dimensions)
            hash.Add(dimension);
        return hash.ToHashCode();
    }

    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    public override string ToString() => $"[{string.Join(", ", dimensions ?? [])}]";
}
