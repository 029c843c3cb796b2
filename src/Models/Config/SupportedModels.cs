namespace Nibble.Models.Config;

/// <summary>An architecture this engine runs.</summary>
/// <param name="Inputs">What it takes.</param>
/// <param name="Examples">Models published with it.</param>
public sealed record SupportedModel(string ModelType, string Inputs, string Examples);

/// <summary>The architectures by their <c>model_type</c>.</summary>
public static class SupportedModels
{
    /// <summary>Every <c>model_type</c> that <see cref="ModelConfig.Parse"/> reads; <c>Networks</c> has a network for each.</summary>
    public static IReadOnlyList<string> Types => [.. All.Select(model => model.ModelType)];

    /// <summary>The same for a listing.</summary>
    public static IReadOnlyList<SupportedModel> All { get; } =
    [
        new("llama", "text", "Llama 3, 3.1, 3.2 (text), 3.3, SmolLM2"),
        new("mistral", "text", "Mistral Nemo and other text models with a byte-level tokenizer"),
        new("qwen2", "text", "Qwen2, Qwen2.5, QwQ"),
        new("qwen2_5_vl", "text, images", "Qwen2.5-VL"),
        new("qwen3", "text", "Qwen3 (dense)"),
        new("qwen3_moe", "text", "Qwen3 (mixture of experts: 30B-A3B, 235B-A22B)"),
    ];
}
