using System.Diagnostics;
using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Models.Prompts;
using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Evaluation;

/// <param name="EndToken">Ends an answer; scored as part of it.</param>
/// <param name="MaxNewTokens">Longest answer generated.</param>
public sealed record EvalOptions(int EndToken, int MaxNewTokens = 24);

/// <summary>Scores a model. <paramref name="against"/> is the model its distributions are measured from, or null.</summary>
public sealed class Evaluator(Generator model, PromptBuilder prompts, EvalOptions options, Generator? against = null)
{
    /// <param name="progress">Share done, 0 to 1.</param>
    public EvalScores Run(EvalSet set, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        var total = Math.Max(1, 2 * set.Questions.Count() + set.Choices.Count() + set.Lines.Count);
        var done = 0;
        void Step()
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report((double)++done / total);
        }

        var (kinds, wrong) = ExactMatches(set, Step);
        var (choicesRight, optionScores) = Choices(set, Step);
        var text = Text(set, Step);
        var answers = Answers(set, Step);
        var questions = kinds.Sum(kind => kind.Total);
        return new EvalScores(
            questions, questions - wrong.Count, Share(questions - wrong.Count, questions), kinds,
            optionScores.Count, choicesRight, Share(choicesRight, optionScores.Count),
            text.Tokens, text.Tokens == 0 ? null : Math.Exp(text.Nll / text.Tokens), text.Tokens == 0 ? null : text.Nll / text.Tokens,
            questions == 0 ? null : answers.Nll / questions, answers.Score(), text.Score(),
            wrong, optionScores, clock.Elapsed.TotalSeconds);
    }

    /// <summary>Greedy answers, compared after trimming.</summary>
    (List<KindScore> Kinds, List<WrongAnswer> Wrong) ExactMatches(EvalSet set, Action step)
    {
        var kinds = new SortedDictionary<string, (int Right, int Total)>(StringComparer.Ordinal);
        var wrong = new List<WrongAnswer>();
        foreach (var entry in set.Questions)
        {
            var tokens = model.Generate(set.Prompt(entry, prompts),
                new GenerationOptions { MaxNewTokens = options.MaxNewTokens, StopTokens = [options.EndToken] }).ToArray();
            var answer = prompts.Tokenizer.Decode(tokens, skipSpecialTokens: true).Trim();
            var right = answer == entry.Answer;
            var (rightSoFar, totalSoFar) = kinds.GetValueOrDefault(entry.Kind ?? "all");
            kinds[entry.Kind ?? "all"] = (rightSoFar + (right ? 1 : 0), totalSoFar + 1);
            if (!right)
                wrong.Add(new WrongAnswer(entry.Id, answer, entry.Answer!));
            step();
        }
        return ([.. kinds.Select(pair => new KindScore(pair.Key, pair.Value.Right, pair.Value.Total))], wrong);
    }

    /// <summary>The option with the largest summed log-likelihood after the prompt, not normalised by length; the first on ties.</summary>
    (int Right, List<IReadOnlyList<double>> Scores) Choices(EvalSet set, Action step)
    {
        var right = 0;
        var all = new List<IReadOnlyList<double>>();
        foreach (var entry in set.Choices)
        {
            var prompt = set.Prompt(entry, prompts);
            var scores = entry.Options
                .Select(option => -Score(prompt, prompts.Tokenizer.Encode(option, addSpecialTokens: false), null).Nll).ToList();
            right += scores.IndexOf(scores.Max()) == entry.AnswerIndex ? 1 : 0;
            all.Add(scores);
            step();
        }
        return (right, all);
    }

    Tally Text(EvalSet set, Action step)
    {
        var tally = new Tally(against is not null);
        foreach (var line in set.Lines)
        {
            var ids = prompts.Tokenizer.Encode(line, addSpecialTokens: false);
            if (ids.Length > 1)
                Score(new Sample(ids[..1]), ids[1..], tally);
            step();
        }
        return tally;
    }

    Tally Answers(EvalSet set, Action step)
    {
        var tally = new Tally(against is not null);
        foreach (var entry in set.Questions)
        {
            Score(set.Prompt(entry, prompts), [.. prompts.Tokenizer.Encode(entry.Answer!, addSpecialTokens: false), options.EndToken], tally);
            step();
        }
        return tally;
    }

    /// <summary>Teacher-forced: what the model thinks of a continuation.</summary>
    Tally Score(Sample prompt, int[] continuation, Tally? into)
    {
        var tally = into ?? new Tally(false);
        var whole = prompt with { Ids = [.. prompt.Ids, .. continuation] };
        using var logits = model.Logits(whole);
        using var reference = tally.Compares ? against!.Logits(whole) : null;
        for (var i = 0; i < continuation.Length; i++)
        {
            var row = prompt.Ids.Length - 1 + i;
            tally.Add(logits.Row(row), continuation[i], reference is null ? default : reference.Row(row));
        }
        return tally;
    }

    static double? Share(int part, int whole) => whole == 0 ? null : (double)part / whole;

    sealed class Tally(bool compares)
    {
        double divergence;
        long agreements;

        public bool Compares => compares;

        public long Tokens { get; private set; }

        public double Nll { get; private set; }

        public void Add(ReadOnlySpan<float> logits, int token, ReadOnlySpan<float> reference)
        {
            Tokens++;
            Nll -= LogLikelihood.Of(logits, token);
            if (!compares)
                return;
            divergence += Divergence.Of(reference, logits);
            agreements += ArgMax.Apply(reference) == ArgMax.Apply(logits) ? 1 : 0;
        }

        public DivergenceScore? Score() =>
            compares && Tokens > 0 ? new DivergenceScore(divergence / Tokens, (double)agreements / Tokens, Tokens) : null;
    }
}
