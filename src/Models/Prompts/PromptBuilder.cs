using Nibble.Models.Chat;
using Nibble.Models.Images;

namespace Nibble.Models.Prompts;

/// <summary>From words and pictures to samples, as the model was trained to see them.</summary>
/// <param name="template">Null when the model has none; then only plain text can be asked.</param>
/// <param name="processor">Null for text-only models.</param>
/// <param name="imageToken">The placeholder that stands once per picture in a rendered template and once per feature in a sample.</param>
public sealed class PromptBuilder(Tokenizer.Tokenizer tokenizer, ChatTemplate? template, Qwen2VlImageProcessor? processor, int? imageToken)
{
    public Tokenizer.Tokenizer Tokenizer => tokenizer;

    public bool HasTemplate => template is not null;

    /// <summary>Plain text, with the special tokens the tokenizer adds by itself.</summary>
    public Sample Text(string text) => new(tokenizer.Encode(text));

    /// <summary>A user's question about pictures, ending where the answer begins.</summary>
    public Sample Question(string question, IReadOnlyList<Image> images) =>
        Chat([User(question, images.Count)], images, new ChatOptions { AddGenerationPrompt = true });

    /// <summary>What a user says about pictures, the pictures first.</summary>
    public static ChatMessage User(string text, int images) => images == 0 ? new ChatMessage("user", text)
        : new ChatMessage("user", [.. Enumerable.Repeat(ChatPart.OfImage(), images), ChatPart.OfText(text)]);

    /// <summary>A whole conversation. Pictures are taken in the order of the messages' image parts.</summary>
    /// <exception cref="ModelException">The template fails, or pictures and placeholders differ in number.</exception>
    public Sample Chat(IReadOnlyList<ChatMessage> messages, IReadOnlyList<Image> images, ChatOptions options) =>
        Chat(ChatConversation.From(messages), images, options);

    /// <inheritdoc cref="Chat(IReadOnlyList{ChatMessage}, IReadOnlyList{Image}, ChatOptions)"/>
    public Sample Chat(ChatConversation conversation, IReadOnlyList<Image> images, ChatOptions options)
    {
        if (template is null)
            throw new ModelException("This model has no chat template (chat_template.jinja or tokenizer_config.json); give plain text instead.");
        var ids = tokenizer.Encode(template.Render(conversation, options).Text, addSpecialTokens: false);
        return Expand(ids, [.. images.Select(Patches)]);
    }

    ImagePatches Patches(Image image) => processor is null
        ? throw new ModelException("This model takes no pictures.") : processor.Prepare(image);

    /// <summary>One placeholder per merged patch instead of one per picture.</summary>
    Sample Expand(int[] ids, List<ImagePatches> pictures)
    {
        var found = imageToken is { } token ? ids.Count(id => id == token) : 0;
        if (found != pictures.Count)
            throw new ModelException($"The template made {found} image placeholders for {pictures.Count} pictures.");
        if (found == 0)
            return new Sample(ids, []);
        var expanded = new List<int>(ids.Length);
        var next = 0;
        foreach (var id in ids)
            expanded.AddRange(Enumerable.Repeat(id, id == imageToken ? Features(pictures[next++]) : 1));
        return new Sample([.. expanded], pictures);
    }

    int Features(ImagePatches picture) =>
        picture.Frames * picture.GridHeight * picture.GridWidth / (processor!.MergeSize * processor.MergeSize);
}
