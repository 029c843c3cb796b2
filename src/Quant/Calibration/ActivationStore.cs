using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>
/// The passes of all samples between two stages. Their tensors stay in memory up to a budget; the rest waits in files,
/// one per sample, which are removed at the end; nothing else in the folder is touched.
/// </summary>
public sealed class ActivationStore(INetwork network, ISampleSource samples, long budgetBytes, string folder) : IDisposable
{
    static int stores;

    readonly int number = Interlocked.Increment(ref stores);
    readonly Pass?[] passes = new Pass?[samples.Count];
    readonly long[] resident = new long[samples.Count];
    readonly HashSet<string> written = [];
    bool createdFolder;

    public int Count => samples.Count;

    /// <summary>Bytes of activations in memory now.</summary>
    public long ResidentBytes { get; private set; }

    /// <summary>The most there ever were.</summary>
    public long PeakBytes { get; private set; }

    /// <summary>Bytes written to disk so far.</summary>
    public long SpilledBytes { get; private set; }

    /// <summary>Of which batch a sample is.</summary>
    public int Batch(int index) => samples.Batch(index);

    /// <summary>The pass of a sample with its tensors in memory; begun when it is asked for the first time.</summary>
    public Pass Take(int index)
    {
        if (passes[index] is not { } pass)
            return passes[index] = network.Begin(samples.Load(index));
        if (resident[index] > 0)
        {
            ResidentBytes -= resident[index];
            resident[index] = 0;
        }
        else
        {
            Read(index, pass);
        }
        return pass;
    }

    /// <summary>Puts a pass back after a stage, in memory where the budget allows it.</summary>
    public void Return(int index, Pass pass)
    {
        pass.ReleasePictures();
        var bytes = Tensors(pass).Sum(tensor => tensor.Bytes);
        PeakBytes = Math.Max(PeakBytes, ResidentBytes + bytes);
        if (ResidentBytes + bytes <= budgetBytes)
        {
            resident[index] = Math.Max(bytes, 1);
            ResidentBytes += resident[index];
        }
        else
        {
            Write(index, pass);
            SpilledBytes += bytes;
        }
    }

    /// <summary>
    /// A second store whose samples stand where these do now, with tensors of its own. The budget is shared half and half from then on.
    /// </summary>
    public ActivationStore Fork()
    {
        budgetBytes /= 2;
        var fork = new ActivationStore(network, samples, budgetBytes, folder);
        for (var i = 0; i < passes.Length; i++)
        {
            if (passes[i] is null)
                continue;
            var pass = Take(i);
            fork.Return(i, fork.passes[i] = pass.Fork());
            Return(i, pass);
        }
        return fork;
    }

    public void Dispose()
    {
        foreach (var pass in passes)
            if (pass is not null)
                foreach (var tensor in Tensors(pass))
                    tensor.Dispose();
        foreach (var file in written)
            System.IO.File.Delete(file);
        if (createdFolder && !Directory.EnumerateFileSystemEntries(folder).Any())
            Directory.Delete(folder);
    }

    static IEnumerable<Tensor> Tensors(Pass pass)
    {
        if (pass.Hidden is { } hidden)
            yield return hidden;
        if (pass.Input is { } input)
            yield return input;
        if (pass.ImageFeatures is { } features)
            yield return features;
    }

    string File(int index) => Path.Combine(folder, $"nibble-activations-{Environment.ProcessId}-{number}-{index:D6}.bin");

    unsafe void Write(int index, Pass pass)
    {
        if (!Directory.Exists(folder))
        {
            Directory.CreateDirectory(folder);
            createdFolder = true;
        }
        written.Add(File(index));
        using var stream = new FileStream(File(index), FileMode.Create, FileAccess.Write);
        foreach (var tensor in Tensors(pass))
        {
            stream.Write(new ReadOnlySpan<byte>(tensor.Pointer, checked((int)tensor.Bytes)));
            tensor.Dispose();
        }
    }

    void Read(int index, Pass pass)
    {
        using var stream = new FileStream(File(index), FileMode.Open, FileAccess.Read);
        if (pass.Hidden is { } hidden)
            pass.Hidden = Read(stream, hidden.Shape);
        if (pass.Input is { } input)
            pass.Input = Read(stream, input.Shape);
        if (pass.ImageFeatures is { } features)
            pass.ImageFeatures = Read(stream, features.Shape);
    }

    static Tensor Read(FileStream stream, Shape shape)
    {
        var tensor = Tensor.Empty(shape);
        stream.ReadExactly(System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.Span<float>()));
        return tensor;
    }
}
