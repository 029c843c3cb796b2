using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>
/// Where F32 tensors wait between two uses: in memory up to a budget, beyond it in files that are removed at the end. The tensors put in
/// belong to the store until they are taken.
/// </summary>
/// <param name="folder">Made when it is needed, and removed if it is empty in the end.</param>
public sealed class TensorStore(long budgetBytes, string folder) : IDisposable
{
    readonly Dictionary<(int Row, int Sample), (Shape Shape, Tensor? Resident)> entries = [];
    long resident;
    bool createdFolder;

    /// <summary>Bytes written to disk so far.</summary>
    public long SpilledBytes { get; private set; }

    public void Put((int Row, int Sample) key, Tensor tensor)
    {
        if (resident + tensor.Bytes <= budgetBytes)
        {
            entries.Add(key, (tensor.Shape, tensor));
            resident += tensor.Bytes;
            return;
        }
        entries.Add(key, (tensor.Shape, null));
        Write(key, tensor);
        SpilledBytes += tensor.Bytes;
        tensor.Dispose();
    }

    /// <summary>Hands the tensor over; null where none was put.</summary>
    public Tensor? Take((int Row, int Sample) key)
    {
        if (!entries.Remove(key, out var entry))
            return null;
        if (entry.Resident is null)
            return Read(key, entry.Shape);
        resident -= entry.Resident.Bytes;
        return entry.Resident;
    }

    public void Dispose()
    {
        foreach (var (key, entry) in entries)
            if (entry.Resident is not null)
                entry.Resident.Dispose();
            else
                File.Delete(PathOf(key));
        entries.Clear();
        if (createdFolder && !Directory.EnumerateFileSystemEntries(folder).Any())
            Directory.Delete(folder);
    }

    string PathOf((int Row, int Sample) key) =>
        Path.Combine(folder, $"nibble-search-{Environment.ProcessId}-{key.Row + 2:D5}-{key.Sample:D6}.bin");

    unsafe void Write((int Row, int Sample) key, Tensor tensor)
    {
        if (!Directory.Exists(folder))
        {
            Directory.CreateDirectory(folder);
            createdFolder = true;
        }
        using var stream = new FileStream(PathOf(key), FileMode.Create, FileAccess.Write);
        for (var row = 0; row < tensor.Rows; row++)
            stream.Write(new ReadOnlySpan<byte>((float*)tensor.Pointer + (long)row * tensor.Columns, checked(tensor.Columns * sizeof(float))));
        GC.KeepAlive(tensor);
    }

    unsafe Tensor Read((int Row, int Sample) key, Shape shape)
    {
        var tensor = Tensor.Empty(shape);
        using (var stream = new FileStream(PathOf(key), FileMode.Open, FileAccess.Read))
            for (var row = 0; row < tensor.Rows; row++)
                stream.ReadExactly(new Span<byte>((float*)tensor.Pointer + (long)row * tensor.Columns, tensor.Columns * sizeof(float)));
        File.Delete(PathOf(key));
        return tensor;
    }
}
