namespace Nibble.Export;

/// <summary>
/// A file that is not what it should be. Names the file and, where there is one, the tensor, what was expected and what was
/// found.
/// </summary>
public sealed class CheckpointException : IOException
{
    public CheckpointException(string path, string problem, string? tensor = null, Exception? inner = null)
        : base(tensor is null ? $"{path}: {problem}" : $"{path}: tensor '{tensor}': {problem}", inner)
    {
        Path = path;
        Tensor = tensor;
    }

    public string Path { get; }

    public string? Tensor { get; }
}
