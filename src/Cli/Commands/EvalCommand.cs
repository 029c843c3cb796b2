using System.CommandLine;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Quant.Evaluation;

namespace Nibble.Cli.Commands;

/// <summary><c>nibble eval</c>: how good a model is, and how far from another.</summary>
static class EvalCommand
{
    public static Command Create(Terminal terminal, CancellationToken cancellation)
    {
        var model = CommonOptions.Model();
        var data = new Option<string?>("--data")
        {
            Description = "JSONL with question and answer, or options and answer_index. Default: eval.jsonl beside the model or beside --against.",
        };
        var text = new Option<string?>("--text") { Description = "Plain text, one sequence a line. Default: eval_text.txt, likewise." };
        var against = new Option<string?>("--against") { Description = "A model to measure KL divergence and top-1 agreement from." };
        var limit = new Option<int?>("--limit") { Description = "Use at most this many entries of each kind." };
        var length = new Option<int>("--max-new-tokens", "-n") { Description = "Longest answer.", DefaultValueFactory = _ => 24 };
        var json = CommonOptions.Json();
        var command = new Command("eval", "Score a model: exact match, multiple choice, perplexity, KL.")
        {
            model, data, text, against, limit, length, json,
        };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(limit) is <= 0 || parsed.GetValue(length) <= 0)
                throw new UsageException("--limit and --max-new-tokens: at least 1 expected.");
            using var folder = ModelFolder.Open(parsed.GetRequiredValue(model));
            using var other = parsed.GetValue(against) is { } path ? ModelFolder.Open(path) : null;
            if (other is not null && other.Network.VocabularySize != folder.Network.VocabularySize)
                throw new UsageException($"--against: {other.Network.VocabularySize} tokens in its vocabulary, the model has {folder.Network.VocabularySize}.");
            var set = EvalSet.Read(Beside(parsed.GetValue(data), folder, other, "eval.jsonl"), Beside(parsed.GetValue(text), folder, other, "eval_text.txt"));
            if (set.Entries.Count + set.Lines.Count == 0)
                throw new UsageException("Nothing to evaluate with: give --data or --text (eval.jsonl or eval_text.txt beside the model are taken by themselves).");
            if (parsed.GetValue(limit) is { } most)
                set = set.Take(most);

            var end = folder.StopTokens() is [var first, ..] ? first
                : throw new UsageException("Neither generation_config.json nor config.json names an end-of-sequence token.");
            var display = new ProgressDisplay(terminal, json: false);
            var evaluator = new Evaluator(folder.Generator(), folder.Prompts,
                new EvalOptions(end, parsed.GetValue(length)), other?.Generator());
            var scores = evaluator.Run(set, new Direct<double>(done => display.Show("evaluating", "", done)), cancellation);
            display.End();
            if (parsed.GetValue(json))
                terminal.Json(scores, EvalJson.Default.EvalScores);
            else
                Show(terminal, scores);
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>What was named, or the file of this name beside the model or the one it is compared with.</summary>
    static string? Beside(string? named, ModelFolder folder, ModelFolder? other, string name) => named
        ?? new[] { folder, other }.Where(place => place is not null).Select(place => place!.In(name)).FirstOrDefault(File.Exists);

    static void Show(Terminal terminal, EvalScores scores)
    {
        void Row(string name, string value) => terminal.Line($"{name,-28}{value}");
        if (scores.ExactMatch is { } match)
            Row("exact match", $"{Units.Percent(match)}  ({scores.QuestionsRight} of {scores.Questions})");
        foreach (var kind in scores.ByKind.Count > 1 ? scores.ByKind : [])
            Row($"  {kind.Kind}", $"{kind.Right} of {kind.Total}");
        if (scores.Choice is { } choice)
            Row("multiple choice", $"{Units.Percent(choice)}  ({scores.ChoicesRight} of {scores.Choices})");
        if (scores.Perplexity is { } perplexity)
            Row("perplexity", $"{perplexity:0.0000}  ({scores.TextTokens} tokens)");
        if (scores.AnswerNll is { } nll)
            Row("NLL of the right answer", $"{nll:0.0000}");
        if (scores.AnswerDivergence is { } answers)
            Row("KL on answers", $"{answers.Mean:0.00000}  (same top token {Units.Percent(answers.TopAgreement)})");
        if (scores.TextDivergence is { } text)
            Row("KL on text", $"{text.Mean:0.00000}  (same top token {Units.Percent(text.TopAgreement)})");
        terminal.Note($"{Units.Time(TimeSpan.FromSeconds(scores.Seconds))}");
    }
}
