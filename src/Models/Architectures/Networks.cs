using Nibble.Models.Architectures.Qwen25Vl;
using Nibble.Models.Config;
using Nibble.Tensors;

namespace Nibble.Models.Architectures;

/// <summary>An architecture this engine runs.</summary>
/// <param name="Inputs">What it takes.</param>
/// <param name="Examples">Models published with it.</param>
public sealed record SupportedModel(string ModelType, string Inputs, string Examples);

/// <summary>Model type to network.</summary>
public static class Networks
{
    /// <summary>Every <c>model_type</c> that <see cref="ModelConfig.Parse"/> reads and <see cref="Create"/> builds.</summary>
    public static IReadOnlyList<string> ModelTypes => [.. Supported.Select(model => model.ModelType)];

    /// <summary>The same for a listing.</summary>
    public static IReadOnlyList<SupportedModel> Supported { get; } =
    [
        new("llama", "text", "Llama 2, 3, 3.1, 3.2 (text), 3.3; SmolLM; models published as LlamaForCausalLM"),
        new("mistral", "text", "Mistral 7B, Nemo, Small (text)"),
        new("qwen2", "text", "Qwen2, Qwen2.5, QwQ"),
        new("qwen2_5_vl", "text, images", "Qwen2.5-VL"),
        new("qwen3", "text", "Qwen3 (dense)"),
    ];

    /// <param name="config">What config.json says.</param>
    /// <param name="names">The checkpoint, asked only which of the known ways of naming tensors it uses.</param>
    /// <exception cref="ModelException">The checkpoint uses none of them.</exception>
    public static INetwork Create(ModelConfig config, ITensorSource names) => config switch
    {
        TextConfig text => new TextNetwork(text, names),
        Qwen25VlConfig vision => new Qwen25VlNetwork(vision, names),
        _ => throw new ModelException($"{config.ModelType}: expected one of {string.Join(", ", ModelTypes)}."),
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
