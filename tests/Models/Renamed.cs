using Nibble.Tensors;

namespace Nibble.Tests.Models;

/// <summary>A checkpoint under other names; tensors that are renamed to null are not there.</summary>
sealed class Renamed(ITensorSource source, Func<string, string?> rename) : ITensorSource
{
    readonly Dictionary<string, string> originals = source.Tensors.Where(spec => rename(spec.Name) is not null)
        .ToDictionary(spec => rename(spec.Name)!, spec => spec.Name);

    public IReadOnlyCollection<TensorSpec> Tensors => [.. originals.Keys.Select(name => Find(name)!)];

    public TensorSpec? Find(string name) =>
        originals.TryGetValue(name, out var original) ? source.Find(original)! with { Name = name } : null;

    public Tensor Load(string name) => source.Load(originals[name]);
}
