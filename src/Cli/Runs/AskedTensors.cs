using Nibble.Export;
using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Cli.Runs;

/// <summary>Remembers which tensors a network asks for.</summary>
sealed class AskedTensors(CheckpointFolder folder) : ITensorSource
{
    readonly HashSet<string> asked = [];
    string? last;

    public IReadOnlyCollection<TensorSpec> Tensors => folder.Tensors;

    public TensorSpec? Find(string name) => folder.Find(name);

    public Tensor Load(string name)
    {
        asked.Add(last = name);
        return folder.Load(name);
    }

    /// <summary>
    /// Loads every stage of a network once. Weights stay in the mapped file, so this costs no reading, and a missing tensor or a wrong shape
    /// is known before any work is done.
    /// </summary>
    /// <returns>The tensors no stage asked for.</returns>
    /// <exception cref="CheckpointException">A tensor is missing, or not as config.json implies; names file and tensor.</exception>
    public static IReadOnlyList<string> Check(INetwork network, CheckpointFolder folder)
    {
        var tensors = new AskedTensors(folder);
        try
        {
            foreach (var stage in network.Stages)
                stage.Load(new Weights(tensors));
        }
        catch (Exception error) when (error is ModelException or ShapeException)
        {
            throw new CheckpointException(FileOf(folder, tensors.last), error.Message, inner: error);
        }
        return [.. folder.Tensors.Select(tensor => tensor.Name).Where(name => !tensors.asked.Contains(name))];
    }

    /// <summary>The file a tensor is in; the folder when it is in none.</summary>
    public static string FileOf(CheckpointFolder folder, string? tensor) =>
        folder.Shards.FirstOrDefault(shard => tensor is not null && shard.Find(tensor) is not null)?.Path ?? folder.Path;
}
