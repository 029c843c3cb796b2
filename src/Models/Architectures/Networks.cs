using Nibble.Models.Architectures.Qwen25Vl;
using Nibble.Models.Config;
using Nibble.Tensors;

namespace Nibble.Models.Architectures;

/// <summary>Model type to network.</summary>
public static class Networks
{
    /// <param name="config">What config.json says.</param>
    /// <param name="names">The checkpoint, asked only which of the known ways of naming tensors it uses.</param>
    /// <exception cref="ModelException">The checkpoint uses none of them.</exception>
    public static INetwork Create(ModelConfig config, ITensorSource names) => config switch
    {
        TextConfig text => new TextNetwork(text, names),
        Qwen25VlConfig vision => new Qwen25VlNetwork(vision, names),
        _ => throw new ModelException($"{config.ModelType}: expected one of {string.Join(", ", SupportedModels.Types)}."),
    };

    /// <summary>The first of some prefixes below which a tensor exists.</summary>
    internal static string FindPrefix(ITensorSource names, string tensor, params ReadOnlySpan<string> prefixes)
    {
        foreach (var prefix in prefixes)
            if (names.Find($"{prefix}.{tensor}") is not null)
                return prefix;
        throw new ModelException($"The checkpoint has no {tensor} below {string.Join(" or ", prefixes.ToArray())}.");
    }
}
