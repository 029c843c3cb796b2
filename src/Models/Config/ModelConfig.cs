namespace Nibble.Models.Config;

/// <summary>A config.json as this engine understands it.</summary>
/// <param name="ModelType">The checkpoint's <c>model_type</c>.</param>
/// <param name="Text">The language model.</param>
/// <param name="EndTokens"><c>eos_token_id</c>: tokens that end an answer; may be empty.</param>
public abstract record ModelConfig(string ModelType, DecoderConfig Text, IReadOnlyList<int> EndTokens)
{
    const int MostEndTokens = 1024;

    /// <summary>The same with a head that is a matrix of its own.</summary>
    public ModelConfig Untie() => this with { Text = Text with { TiedEmbeddings = false } };

    /// <summary>Reads a config.json: flat or nested, with <c>rope_scaling</c> or <c>rope_parameters</c>.</summary>
    /// <param name="json">UTF-8.</param>
    /// <param name="origin">What errors call the file.</param>
    /// <exception cref="ModelException">Not JSON, an unknown <c>model_type</c>, a missing or impossible value.</exception>
    public static ModelConfig Parse(ReadOnlySpan<byte> json, string origin)
    {
        var config = ConfigObject.Parse(json, origin);
        var type = config.Text("model_type");
        return type switch
        {
            "llama" => ReadText(config, type, TextFamily.Llama),
            "mistral" => ReadText(config, type, TextFamily.Mistral),
            "qwen2" => ReadText(config, type, TextFamily.Qwen2),
            "qwen3" => ReadText(config, type, TextFamily.Qwen3),
            "qwen3_moe" => ReadText(config, type, TextFamily.Qwen3Moe),
            "qwen2_5_vl" => Qwen25VlConfig.Read(config, type),
            _ => throw config.Wrong("model_type", $"one of {string.Join(", ", SupportedModels.Types)}"),
        };
    }

    internal static int[] ReadEndTokens(ConfigObject config) =>
        config.IntegerOrList("eos_token_id", 0, int.MaxValue, MostEndTokens);

    static TextConfig ReadText(ConfigObject config, string type, TextFamily family) =>
        new(type, DecoderConfig.Read(config, family, config.Flag("tie_word_embeddings", false)), ReadEndTokens(config));
}

/// <summary>A model that is a decoder and nothing else.</summary>
public sealed record TextConfig(string ModelType, DecoderConfig Text, IReadOnlyList<int> EndTokens)
    : ModelConfig(ModelType, Text, EndTokens);
