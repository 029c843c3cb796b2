using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Quant.Calibration;

namespace Nibble.Cli.Commands;

/// <summary>Modules with the same inputs, as <c>nibble stats show --json</c> prints them.</summary>
sealed record GroupView(
    IReadOnlyList<string> Modules, int Width, long TextTokens, long VisionTokens, float TextAmax, float VisionAmax, IReadOnlyList<string> Statistics);

/// <summary>One attention module's cache.</summary>
sealed record CacheView(string Attention, float KeyAmax, float RotatedKeyAmax, float ValueAmax, float? CentredKeyAmax, float? CentredValueAmax);

/// <summary>The result of <c>nibble stats show --json</c>.</summary>
sealed record StatisticsView(
    string Path, IReadOnlyList<ModelField> Model, IReadOnlyList<StatisticsShard> Shards, long Bytes, IReadOnlyList<GroupView> Groups,
    IReadOnlyList<CacheView> Caches);

/// <summary>The result of <c>nibble stats merge --json</c>.</summary>
sealed record MergedView(string Output, long Bytes, int Shards, long Samples, long TextTokens, long VisionTokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(StatisticsView))]
[JsonSerializable(typeof(MergedView))]
sealed partial class StatsJson : JsonSerializerContext;

/// <summary><c>nibble stats</c>: look at statistics, and merge those of shards of data.</summary>
static class StatsCommand
{
    public static Command Create(Terminal terminal) => new("stats", "Show and merge files of `nibble calibrate`.") { Show(terminal), Merge(terminal) };

    static Command Show(Terminal terminal)
    {
        var path = new Argument<string>("file") { Description = "A file of `nibble calibrate`." };
        var json = CommonOptions.Json();
        var command = new Command("show", "List modules with tokens and largest inputs of either kind, and what else is known.") { path, json };
        command.SetAction(parsed =>
        {
            using var file = StatisticsFile.Open(parsed.GetRequiredValue(path));
            var view = Look(file.Statistics);
            if (parsed.GetValue(json))
                terminal.Json(view, StatsJson.Default.StatisticsView);
            else
                Show(terminal, view);
            return ExitCode.Ok;
        });
        return command;
    }

    static Command Merge(Terminal terminal)
    {
        var paths = new Argument<string[]>("files") { Description = "Files of the same model, of different data.", Arity = new ArgumentArity(2, 10_000) };
        var output = new Option<string>("--output", "-o") { Description = "File to write.", Required = true };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace the output file." };
        var json = CommonOptions.Json();
        var command = new Command("merge", "Join statistics of shards of data, as if all had been run at once.") { paths, output, overwrite, json };
        command.SetAction(parsed =>
        {
            var target = parsed.GetRequiredValue(output);
            if (Directory.Exists(target) || (File.Exists(target) && !parsed.GetValue(overwrite)))
                throw new UsageException($"--output {target}: exists already; --overwrite replaces a file.");
            var files = parsed.GetRequiredValue(paths).Select(StatisticsFile.Open).ToList();
            var joined = JoinedStatistics.OfShards([.. files.Select(file => file.Statistics)]);
            StatisticsFile.Write(target, joined);
            files.ForEach(file => file.Dispose());
            var info = joined.Info;
            var bytes = new FileInfo(target).Length;
            if (parsed.GetValue(json))
                terminal.Json(new MergedView(target, bytes, info.Shards.Count, info.Samples, info.TextTokens, info.VisionTokens), StatsJson.Default.MergedView);
            else
                terminal.Line($"wrote        {target}, {Units.Bytes(bytes)}: {info.Shards.Count} shards, {info.Samples} samples, " +
                    $"{info.TextTokens} text and {info.VisionTokens} vision tokens");
            return ExitCode.Ok;
        });
        return command;
    }

    static StatisticsView Look(StoredStatistics stored) => new(
        stored.Origin, stored.Info.Model, stored.Info.Shards, new FileInfo(stored.Origin).Length,
        [.. stored.Info.Groups.Select(group => Look(stored, group))],
        [.. stored.Info.Caches.Select(name => (name, Cache: stored.Cache(name) ?? new KeyValueStatistics(name))).Select(entry => new CacheView(
            entry.name, entry.Cache.KeyAmax, entry.Cache.RotatedKeyAmax, entry.Cache.ValueAmax,
            entry.Cache.CentredKeys?.Amax, entry.Cache.CentredValues?.Amax))]);

    static GroupView Look(StoredStatistics stored, StatisticsGroup group)
    {
        using var inputs = stored.Inputs(group, keptRows: 1);
        var rows = inputs?.Rows(Modality.Text) is not null || inputs?.Rows(Modality.Vision) is not null;
        return new GroupView(group.Modules, group.Width, inputs?.Tokens(Modality.Text) ?? 0, inputs?.Tokens(Modality.Vision) ?? 0,
            inputs?.AmaxOf(Modality.Text) ?? 0, inputs?.AmaxOf(Modality.Vision) ?? 0, ["amax", .. group.Needs.Names(), .. rows ? (string[])["rows"] : []]);
    }

    static void Show(Terminal terminal, StatisticsView view)
    {
        terminal.Line($"model        {view.Model.FirstOrDefault(field => field.Name == "model type")?.Value ?? "unknown"}");
        foreach (var shard in view.Shards)
            terminal.Line($"data         {shard.Path}: {shard.Samples} samples, {shard.TextTokens} text and {shard.VisionTokens} vision tokens");
        terminal.Line($"size         {Units.Bytes(view.Bytes)}");
        terminal.Line();
        terminal.Table(["module", "inputs", "text tokens", "vision tokens", "text amax", "vision amax", "statistics"], view.Groups.Select(group => (string[])
        [
            group.Modules[0] + (group.Modules.Count > 1 ? $" +{group.Modules.Count - 1}" : ""), $"{group.Width}", $"{group.TextTokens}", $"{group.VisionTokens}",
            Units.Number(group.TextAmax), Units.Number(group.VisionAmax), string.Join(", ", group.Statistics),
        ]));
        if (view.Caches.Count == 0)
            return;
        terminal.Line();
        terminal.Table(["cache", "keys", "rotated keys", "values", "centred keys", "centred values"], view.Caches.Select(cache => (string[])
        [
            cache.Attention, Units.Number(cache.KeyAmax), Units.Number(cache.RotatedKeyAmax), Units.Number(cache.ValueAmax),
            Units.Number(cache.CentredKeyAmax ?? 0), Units.Number(cache.CentredValueAmax ?? 0),
        ]));
    }
}
