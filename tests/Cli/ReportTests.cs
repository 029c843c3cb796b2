using System.Diagnostics;
using System.Text.Json;
using Nibble.Cli.Output;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>What lies beside a checkpoint: report.json, report.html, README.md, and no file that does not belong there.</summary>
public sealed class ReportTests : IDisposable
{
    static readonly string[] Browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

    readonly TemporaryFolder folder = new();

    string Output => folder.In("out");

    public ReportTests() => CommandRun.Good(
        "quantize", Models.Vision, "--format", "nvfp4", "--kv", "fp8", "--exclude", "*.layers.0.*", "--samples", "4", "-o", Output);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_report_has_the_fields_that_docs_report_describes()
    {
        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Output, "report.json")));
        var documented = File.ReadAllText(Repository.Path("docs/report.md"));
        void Check(JsonElement element)
        {
            foreach (var property in element.EnumerateObject())
            {
                Assert.Contains($"`{property.Name}`", documented, StringComparison.Ordinal);
                if (property.Value.ValueKind == JsonValueKind.Array)
                    foreach (var item in property.Value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object).Take(1))
                        Check(item);
            }
        }
        Check(report.RootElement);
        var root = report.RootElement;
        var modules = root.GetProperty("stages").EnumerateArray().SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).ToList();
        Assert.Equal(21, modules.Count);
        Assert.All(modules, module => Assert.InRange(module.GetProperty("weight_error").GetDouble(), 0.001, 0.1));
        Assert.All(modules, module => Assert.InRange(module.GetProperty("text_error").GetDouble(), 0.0001, 0.1));
        Assert.All(modules, module => Assert.InRange(module.GetProperty("vision_error").GetDouble(), 0.0001, 0.1));
        Assert.True(root.GetProperty("peak_bytes").GetInt64() > 10 << 20);
        Assert.True(root.GetProperty("seconds").GetDouble() > 0);
        Assert.Equal(new FileInfo(Path.Combine(Output, "model.safetensors")).Length, root.GetProperty("bytes_after").GetInt64(), 100_000.0);
    }

    [Fact]
    public void The_model_card_says_how_it_was_made()
    {
        var card = File.ReadAllText(Path.Combine(Output, "README.md"));
        Assert.StartsWith("---\nbase_model: \"shapes-vlm\"\nbase_model_relation: quantized\nlibrary_name: transformers\ntags:\n", card, StringComparison.Ordinal);
        Assert.Contains("- nvfp4\n---\n", card, StringComparison.Ordinal);
        Assert.Contains("nibble quantize shapes-vlm --format nvfp4 --kv fp8 --exclude '*.layers.0.*' --samples 4 --output out\n", card, StringComparison.Ordinal);
        Assert.Contains("4 samples of calib.jsonl", card, StringComparison.Ordinal);
        Assert.Contains("| nvfp4 | 21 |", card, StringComparison.Ordinal);
        Assert.Contains("- Cached keys and values: fp8\n", card, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Output, "report.json")));
        Assert.Contains($"| {Mean("weight_error")} | {Mean("text_error")} | {Mean("vision_error")} |\n", card, StringComparison.Ordinal);
        Assert.DoesNotContain(Repository.Root, card, StringComparison.Ordinal);
        Assert.DoesNotContain("\r", card, StringComparison.Ordinal);

        string Mean(string field) => Units.Number(report.RootElement.GetProperty("stages").EnumerateArray()
            .SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).Average(module => module.GetProperty(field).GetDouble()));
    }

    [Fact]
    public void Nothing_of_a_name_is_markup_in_the_model_card()
    {
        Models.WriteVision(folder.In("a_b*c"));
        CommandRun.Good("quantize", folder.In("a_b*c"), "--format", "int8_wo", "-o", folder.In("plain"));
        var card = File.ReadAllText(folder.In("plain/README.md"));
        Assert.Contains("base_model: \"a_b*c\"", card, StringComparison.Ordinal);
        Assert.Contains("# a\\_b\\*c, quantized\n", card, StringComparison.Ordinal);
    }

    [Fact]
    public void Side_files_are_copied_byte_for_byte_and_data_is_not()
    {
        foreach (var name in (string[])["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json",
            "preprocessor_config.json", "vocab.json", "merges.txt"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(Models.Vision, name)), File.ReadAllBytes(Path.Combine(Output, name)));
        Assert.Empty(Directory.GetFiles(Output, "*.jsonl"));
        Assert.Empty(Directory.GetDirectories(Output));
    }

    [Fact]
    public async Task A_browser_shows_every_chart_and_the_table()
    {
        var browser = Browsers.FirstOrDefault(File.Exists);
        Assert.SkipWhen(browser is null, "Chromium is not installed.");
        using var process = Process.Start(new ProcessStartInfo(browser,
        [
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", $"--user-data-dir={folder.In("profile")}", "--dump-dom", $"file://{Output}/report.html",
        ])
        { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var dom = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)));
        Assert.True(dom.Contains("</html>", StringComparison.Ordinal), await errors);
        Assert.Equal(4, dom.Split("<svg ").Length - 1);
        Assert.Equal(21 * 3, dom.Split("<circle ").Length - 1);
        Assert.Equal(21, dom.Split("<td>nvfp4</td>").Length - 1);
        Assert.Contains("<tbody>", dom, StringComparison.Ordinal); // parsed by a browser, not only written
        var rest = dom.Replace("http://www.w3.org/2000/svg", "");
        foreach (var reference in (string[])["<script", "http://", "https://", "src=", "href="])
            Assert.DoesNotContain(reference, rest, StringComparison.OrdinalIgnoreCase);
    }
}
