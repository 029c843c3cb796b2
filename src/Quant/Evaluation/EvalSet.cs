using Nibble.Models;
using Nibble.Models.Prompts;
using Nibble.Quant.Calibration;

namespace Nibble.Quant.Evaluation;

/// <summary>Questions, multiple-choice entries and lines of text to score a model with.</summary>
/// <param name="Folder">What the paths of pictures are relative to.</param>
public sealed record EvalSet(IReadOnlyList<DataEntry> Entries, IReadOnlyList<string> Lines, string Folder)
{
    public IEnumerable<DataEntry> Questions => Entries.Where(entry => !entry.IsMultipleChoice);

    public IEnumerable<DataEntry> Choices => Entries.Where(entry => entry.IsMultipleChoice);

    /// <param name="dataPath">JSONL with question and answer, options and answer_index; or null.</param>
    /// <param name="textPath">Plain text, one sequence a line; or null.</param>
    public static EvalSet Read(string? dataPath, string? textPath)
    {
        var entries = dataPath is null ? [] : DataEntry.ReadAll(dataPath);
        foreach (var entry in entries)
            if (entry.Question is null || (entry.Answer is null && !entry.IsMultipleChoice))
                throw new QuantizationException($"{dataPath}, entry {entry.Id}: 'question' with 'answer' or 'options' expected.");
        var lines = textPath is null ? [] : File.ReadAllLines(textPath).Where(line => line.Length > 0).ToList();
        return new EvalSet(entries, lines, Path.GetDirectoryName(Path.GetFullPath(dataPath ?? textPath ?? "."))!);
    }

    /// <summary>At most so many of each kind, from the start.</summary>
    public EvalSet Take(int limit) =>
        this with { Entries = [.. Questions.Take(limit), .. Choices.Take(limit)], Lines = [.. Lines.Take(limit)] };

    /// <summary>The entry's question, ending where the answer begins.</summary>
    public Sample Prompt(DataEntry entry, PromptBuilder prompts) => prompts.Question(entry.Question!, Pictures.Load(entry.Images, Folder));
}
