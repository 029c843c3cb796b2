using Nibble.Quant.Reports;

namespace Nibble.Tests.Quant.Reports;

/// <summary>The page is valid whatever the names in a checkpoint are.</summary>
public sealed class HtmlReportTests
{
    const string Hostile = "model.layers.0.<script>alert('x')</script>\"&";

    static ModuleReport Module(string name, double error = 0.01, double? text = 0.02, double? vision = null) => new(
        name, "language", "nvfp4", 256, 128, 65536, 20000, error, text, vision, 3.5f, null, 100, 0);

    static RunReport Report(params ModuleReport[] modules) => new(
        "nibble 1.2.3", $"/models/{Hostile}", Hostile, DateTimeOffset.UnixEpoch, [new Setting(Hostile, Hostile)], $"/data/{Hostile}", 3, 100, 50,
        1 << 20, 1 << 19, 2.5, 100 << 20, 1000, 0, false, [new StageReport(Hostile, 1, 0.5, 1, modules, [])], [Hostile], [Hostile]);

    [Fact]
    public void Hostile_names_stay_text()
    {
        var page = HtmlReport.Render(Report(Module(Hostile), Module("model.layers.1.mlp.up_proj")));
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("alert('", page, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_fetched()
    {
        var page = HtmlReport.Render(Report(Module("model.layers.0.mlp.up_proj")));
        var rest = page.Replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        foreach (var reference in (string[])["http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link", "<iframe"])
            Assert.DoesNotContain(reference, rest, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_run_with_nothing_to_draw_is_still_a_page()
    {
        Assert.EndsWith("</html>\n", HtmlReport.Render(Report()), StringComparison.Ordinal);
        var page = HtmlReport.Render(Report(Module("lm_head", 0, double.NaN, double.PositiveInfinity), Module("x.0.y", double.NaN, 0, null)));
        Assert.DoesNotContain("=\"NaN", page, StringComparison.Ordinal);
        Assert.DoesNotContain("=\"∞", page, StringComparison.Ordinal);
        Assert.EndsWith("</html>\n", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_module_is_in_the_table_and_in_the_charts()
    {
        var modules = Enumerable.Range(0, 300).Select(i => Module($"model.layers.{i / 3}.mlp.m{i % 3}", 0.001 * (i + 1), 0.002, 0.003)).ToArray();
        var page = HtmlReport.Render(Report(modules));
        Assert.Equal(300 + 1, Count(page[page.IndexOf("class=\"modules\"", StringComparison.Ordinal)..], "<tr>"));
        Assert.Equal(900, Count(page, "<circle "));
        Assert.Equal(4, Count(page, "<svg "));
    }

    static int Count(string text, string part) => text.Split(part).Length - 1;
}
