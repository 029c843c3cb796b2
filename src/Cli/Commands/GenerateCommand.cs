using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Models;
using Nibble.Models.Chat;
using Nibble.Models.Generation;
using Nibble.Models.Prompts;
using Nibble.Quant.Calibration;
using Nibble.Tensors.Ops;

namespace Nibble.Cli.Commands;

/// <summary>A line of the JSON stream of <c>generate</c>: a piece of text, then the end.</summary>
sealed record GeneratedPiece(string Event, string? Text, int? Token);

/// <summary>The last line of the JSON stream of <c>generate</c>.</summary>
sealed record GeneratedEnd(
    string Event, string Text, int PromptTokens, int NewTokens, double PrefillSeconds, double DecodeSeconds, string Stopped);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(GeneratedPiece))]
[JsonSerializable(typeof(GeneratedEnd))]
sealed partial class GenerateJson : JsonSerializerContext;

/// <summary><c>nibble generate</c>: ask a model, quantized or not.</summary>
static class GenerateCommand
{
    public static Command Create(Terminal terminal, CancellationToken cancellation)
    {
        var model = CommonOptions.Model();
        var prompt = new Option<string>("--prompt", "-p") { Description = "What to ask.", Required = true };
        var images = new Option<string[]>("--image") { Description = "PNG or JPEG; may be given several times." };
        var system = new Option<string?>("--system") { Description = "System message." };
        var raw = new Option<bool>("--raw") { Description = "Continue the text as it stands, without the chat template." };
        var count = new Option<int>("--max-new-tokens", "-n") { Description = "Longest answer.", DefaultValueFactory = _ => 256 };
        var temperature = new Option<double>("--temperature") { Description = "0 picks the most likely token (default).", DefaultValueFactory = _ => 0 };
        var topK = new Option<int>("--top-k") { Description = "Keep the k most likely tokens; 0 keeps all.", DefaultValueFactory = _ => 0 };
        var topP = new Option<double>("--top-p") { Description = "Keep the smallest set with this probability.", DefaultValueFactory = _ => 1 };
        var minP = new Option<double>("--min-p") { Description = "Keep tokens with this share of the best one's probability.", DefaultValueFactory = _ => 0 };
        var penalty = new Option<double>("--repetition-penalty") { Description = "Above 1 discourages repeating.", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "Of the random draws.", DefaultValueFactory = _ => 0 };
        var json = CommonOptions.Json();
        var command = new Command("generate", "Ask a model and stream the answer.")
        {
            model, prompt, images, system, raw, count, temperature, topK, topP, minP, penalty, seed, json,
        };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(count) <= 0)
                throw new UsageException("--max-new-tokens: at least 1 expected.");
            using var folder = ModelFolder.Open(parsed.GetRequiredValue(model));
            var pictures = (parsed.GetValue(images) ?? []).Select(Pictures.Load).ToList();
            var text = parsed.GetRequiredValue(prompt);
            if (parsed.GetValue(raw) && (pictures.Count > 0 || parsed.GetValue(system) is not null))
                throw new UsageException("--raw takes neither --image nor --system.");
            var sample = parsed.GetValue(raw) || !folder.Prompts.HasTemplate
                ? folder.Prompts.Text(text)
                : folder.Prompts.Chat(Messages(parsed.GetValue(system), text, pictures.Count), pictures,
                    new ChatOptions { AddGenerationPrompt = true });
            var options = new GenerationOptions
            {
                MaxNewTokens = parsed.GetValue(count),
                StopTokens = [.. folder.StopTokens()],
                Sampling = parsed.GetValue(temperature) <= 0 ? null : new SamplingOptions
                {
                    Temperature = parsed.GetValue(temperature),
                    TopK = parsed.GetValue(topK),
                    TopP = parsed.GetValue(topP),
                    MinP = parsed.GetValue(minP),
                    RepetitionPenalty = parsed.GetValue(penalty),
                },
                Seed = parsed.GetValue(seed),
            };
            return Stream(terminal, folder, sample, options, parsed.GetValue(json), cancellation);
        });
        return command;
    }

    static List<ChatMessage> Messages(string? system, string text, int pictures) =>
        [.. system is null ? (ChatMessage[])[] : [new ChatMessage("system", system)], PromptBuilder.User(text, pictures)];

    static int Stream(Terminal terminal, ModelFolder folder, Sample sample, GenerationOptions options, bool json, CancellationToken cancellation)
    {
        var generator = folder.Generator();
        var stream = folder.Tokenizer.Stream(skipSpecialTokens: true);
        var answer = new System.Text.StringBuilder();
        var clock = Stopwatch.StartNew();
        double? prefill = null;
        var tokens = 0;
        var last = -1;
        foreach (var token in generator.Generate(sample, options, cancellation))
        {
            prefill ??= clock.Elapsed.TotalSeconds;
            tokens++;
            last = token;
            Piece(stream.Next(token), token);
        }
        Piece(stream.Flush(), null);
        var decode = clock.Elapsed.TotalSeconds - (prefill ?? 0);
        var stopped = options.StopTokens.Contains(last) ? "stop token" : "length";
        if (json)
        {
            terminal.Json(new GeneratedEnd("end", answer.ToString(), sample.Ids.Length, tokens, prefill ?? 0, decode, stopped),
                GenerateJson.Default.GeneratedEnd);
            return ExitCode.Ok;
        }
        terminal.Line();
        terminal.Note($"{sample.Ids.Length} prompt tokens in {prefill ?? 0:0.00}s, {tokens} new tokens" +
            (tokens > 1 ? $" at {(tokens - 1) / Math.Max(decode, 1e-9):0.0} a second" : "") + $", ended by {stopped}.");
        return ExitCode.Ok;

        void Piece(string text, int? token)
        {
            answer.Append(text);
            if (json && (text.Length > 0 || token is not null))
                terminal.Json(new GeneratedPiece("piece", text, token), GenerateJson.Default.GeneratedPiece);
            else if (!json)
                terminal.Write(text);
        }
    }
}
