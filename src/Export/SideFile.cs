namespace Nibble.Export;

/// <summary>A file of a checkpoint that holds no weights: a copy of one on disk, or new bytes.</summary>
public sealed class SideFile
{
    readonly string? source;
    readonly ReadOnlyMemory<byte> bytes;

    SideFile(string name, string? source, ReadOnlyMemory<byte> bytes)
    {
        if (name.Length == 0 || name != Path.GetFileName(name) || name is "." or "..")
            throw new ArgumentException($"'{name}' is not the name of a file in the checkpoint folder.", nameof(name));
        Name = name;
        this.source = source;
        this.bytes = bytes;
    }

    public string Name { get; }

    /// <summary>The file of this name in another folder, byte for byte.</summary>
    public static SideFile Copy(string folder, string name) => new(name, Path.Combine(folder, name), default);

    public static SideFile Of(string name, ReadOnlyMemory<byte> bytes) => new(name, null, bytes);

    internal void WriteTo(string folder) => Disk.WriteAll(Path.Combine(folder, Name), stream =>
    {
        if (source is null)
        {
            stream.Write(bytes.Span);
            return;
        }
        using var input = Disk.Try(source, "cannot be read",
            () => new FileStream(source, FileMode.Open, FileAccess.Read, FileShare.Read));
        input.CopyTo(stream);
    });
}
