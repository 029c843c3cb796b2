using Nibble.Models;
using Nibble.Models.Chat;
using Nibble.Models.Prompts;

namespace Nibble.Quant.Calibration;

/// <summary>
/// Samples made from data entries as the model would see them in use: questions with their answers through the chat template, plain
/// text as it stands.
/// </summary>
/// <param name="folder">What the paths of pictures are relative to.</param>
public sealed class PromptSamples(IReadOnlyList<DataEntry> entries, PromptBuilder prompts, string folder) : ISampleSource
{
    public int Count => entries.Count;

    public Sample Load(int index)
    {
        var entry = entries[index];
        if (entry.Text is { } text)
            return prompts.Text(text);
        var images = Pictures.Load(entry.Images, folder);
        if (entry.Messages is { } messages)
            return prompts.Chat(ChatConversation.Parse(messages), images, ChatOptions.Default);
        return entry.Answer is { } answer
            ? prompts.Chat([PromptBuilder.User(entry.Question!, images.Count), new ChatMessage("assistant", answer)], images, ChatOptions.Default)
            : prompts.Question(entry.Question!, images);
    }
}
