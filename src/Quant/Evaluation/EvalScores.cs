using System.Text.Json.Serialization;

namespace Nibble.Quant.Evaluation;

/// <summary>Right answers of one kind of question.</summary>
public sealed record KindScore(string Kind, int Right, int Total);

/// <summary>A question answered differently from the data.</summary>
public sealed record WrongAnswer(string Id, string Got, string Expected);

/// <summary>How far another model's next-token distributions are from this one's, over some positions.</summary>
/// <param name="Mean">Mean of KL(other ‖ this) in nats.</param>
/// <param name="TopAgreement">Share of positions with the same most probable token.</param>
public sealed record DivergenceScore(double Mean, double TopAgreement, long Positions);

/// <summary>What an evaluation measured; null where the data has no such entries.</summary>
/// <param name="ExactMatch">Share of questions answered exactly.</param>
/// <param name="Choice">Share of multiple-choice entries whose right option is the most likely.</param>
/// <param name="Perplexity">exp of the mean negative log-likelihood of the text's tokens but the first of each line.</param>
/// <param name="AnswerNll">Negative log-likelihood of the right answer and its end, in nats, mean over the questions.</param>
public sealed record EvalScores(
    int Questions, int QuestionsRight, double? ExactMatch, IReadOnlyList<KindScore> ByKind,
    int Choices, int ChoicesRight, double? Choice,
    long TextTokens, double? Perplexity, double? MeanNll, double? AnswerNll,
    DivergenceScore? AnswerDivergence, DivergenceScore? TextDivergence,
    IReadOnlyList<WrongAnswer> Wrong, IReadOnlyList<IReadOnlyList<double>> OptionScores, double Seconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(EvalScores))]
public sealed partial class EvalJson : JsonSerializerContext;
