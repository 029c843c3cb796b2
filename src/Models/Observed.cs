using System.Globalization;

namespace Nibble.Models;

/// <summary>A tensor recorded from another framework, in the words of this one.</summary>
/// <param name="Name">One of the names of <see cref="Observed"/>.</param>
/// <param name="LastRows">Only this many rows at the end were recorded; null: all.</param>
public sealed record RecordedTensor(string Name, int? LastRows);

/// <summary>The names under which <see cref="Pass.Observe"/> gets intermediate results, and what recordings call them.</summary>
/// <remarks>Pictures of one sample are concatenated. Between patch embedding and merger a tower may keep its own order.</remarks>
public static class Observed
{
    /// <summary>[patches, Dv] after the patch embedding, in the order of the patches given.</summary>
    public const string VisionEmbed = "vision.embed";

    /// <summary>[image tokens, D] after the projector, in the tower's order.</summary>
    public const string Projector = "projector";

    /// <summary>[image tokens, D] as written into the placeholders.</summary>
    public const string ImageFeatures = "image_features";

    /// <summary>[T, D]: what enters layer 0, image features included.</summary>
    public const string Embed = "embed";

    /// <summary>[T, D] after the final norm; [1, D] where only the last logits were wanted.</summary>
    public const string Norm = "norm";

    const string RouterLogitsSuffix = ".router_logits", ExpertsSuffix = ".experts", ExpertWeightsSuffix = ".expert_weights";

    /// <summary>[T, V], or [1, V] where only the last logits were wanted.</summary>
    public const string Logits = "logits";

    /// <summary>[patches, Dv] after this block of the vision tower, in the tower's order.</summary>
    public static string VisionLayer(int index) => string.Create(CultureInfo.InvariantCulture, $"vision.layers.{index}");

    /// <summary>[T, D] after this block of the language model, before the final norm.</summary>
    public static string Layer(int index) => string.Create(CultureInfo.InvariantCulture, $"layers.{index}");

    /// <summary>[T, E]: what the router of this layer gives every expert, before the softmax.</summary>
    public static string RouterLogits(int layer) => Layer(layer) + RouterLogitsSuffix;

    /// <summary>[T, K]: the experts chosen for every token, ascending.</summary>
    public static string Experts(int layer) => Layer(layer) + ExpertsSuffix;

    /// <summary>[T, K]: what the outputs of those experts are multiplied with.</summary>
    public static string ExpertWeights(int layer) => Layer(layer) + ExpertWeightsSuffix;

    /// <summary>
    /// What a recorded tensor of this name is here, or null where no stage observes such a thing. Understands the names above,
    /// and those common in recordings made with Transformers: <c>inputs_embeds</c>, <c>hidden_3</c>, <c>vision_hidden_0</c>,
    /// <c>merger_out</c>, <c>vision_output</c>, <c>logits_last16</c>, …
    /// </summary>
    public static RecordedTensor? Find(string recorded) => recorded switch
    {
        VisionEmbed or "vision_patch_embed" or "vision_embeddings" => new(VisionEmbed, null),
        Projector or "merger_out" or "projector_out" => new(Projector, null),
        ImageFeatures or "vision_output" => new(ImageFeatures, null),
        Embed or "inputs_embeds" => new(Embed, null),
        Norm => new(Norm, null),
        Logits => new(Logits, null),
        "last_logits" => new(Logits, 1),
        _ when Number(recorded, "layers.") is { } layer => new(Layer(layer), null),
        _ when Number(recorded, "layers.", RouterLogitsSuffix) is { } layer => new(RouterLogits(layer), null),
        _ when Number(recorded, "layers.", ExpertsSuffix) is { } layer => new(Experts(layer), null),
        _ when Number(recorded, "layers.", ExpertWeightsSuffix) is { } layer => new(ExpertWeights(layer), null),
        _ when Number(recorded, "hidden_") is { } layer => new(Layer(layer), null),
        _ when Number(recorded, "vision.layers.") is { } layer => new(VisionLayer(layer), null),
        _ when Number(recorded, "vision_hidden_") is { } layer => new(VisionLayer(layer), null),
        _ when Number(recorded, "logits_last") is { } rows => new(Logits, rows),
        _ => null,
    };

    static int? Number(string text, string prefix, string suffix = "") =>
        text.StartsWith(prefix, StringComparison.Ordinal) && text.EndsWith(suffix, StringComparison.Ordinal) &&
        text.Length >= prefix.Length + suffix.Length && int.TryParse(
            text.AsSpan(prefix.Length, text.Length - prefix.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture,
            out var number) ? number : null;
}
