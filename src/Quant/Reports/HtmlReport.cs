using System.Globalization;
using System.Text;

namespace Nibble.Quant.Reports;

/// <summary>A report as one page that needs nothing else: no script, no font, no network.</summary>
public static class HtmlReport
{
    public static string Render(RunReport report)
    {
        var modules = report.Modules.ToList();
        var page = new StringBuilder();
        page.Append("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.Append($"<title>{Svg.Escape($"{report.ModelType} quantized")}</title><style>{Style}</style></head><body><main>");
        page.Append($"<h1>{Svg.Escape(Name(report.Model))}</h1>");
        page.Append($"<p class=\"sub\">{Svg.Escape($"{report.ModelType}, quantized by {report.Tool} on {report.Finished:yyyy-MM-dd HH:mm} UTC")}</p>");
        Figures(page, report, modules);
        foreach (var warning in report.Warnings)
            page.Append($"<p class=\"warning\">{Svg.Escape(warning)}</p>");

        Section(page, "Error by module", Charts.Errors(modules),
            "‖difference‖² / ‖original‖². Outputs are measured on calibration inputs with activations rounded as the format says.",
            ("weight", "weight"), ("text", "output on text"), ("vision", "output on vision"));
        if (report.Search is { } search)
            Section(page, "Size against damage", Charts.SizeAgainstDamage(search), Proof(search), ("text", "best at its size"), ("vision", "chosen"));
        Section(page, "Formats", Charts.Allocation(modules), "One cell a module; what is not listed stays as it was.");
        Section(page, "Largest inputs", Charts.Activations(modules),
            "Largest magnitude seen in calibration. Where text and vision differ much, one scale has to serve both.",
            ("text", "text"), ("vision", "vision"));
        Section(page, "Time", Charts.Timeline(report.Stages), "Seconds of every stage.", ("text", "running samples"), ("weight", "quantizing and writing"));
        Settings(page, report);
        Table(page, modules);
        return page.Append("</main></body></html>\n").ToString();
    }

    static void Figures(StringBuilder page, RunReport report, List<ModuleReport> modules)
    {
        page.Append("<div class=\"figures\">");
        Figure("size", $"{Bytes(report.BytesBefore)} → {Bytes(report.BytesAfter)}");
        Figure("modules", modules.Count.ToString(CultureInfo.InvariantCulture));
        if (modules.Count > 0)
            Figure("mean weight error", Number(modules.Average(module => module.WeightError)));
        if (modules.Exists(module => module.TextError is not null))
            Figure("mean output error, text", Number(modules.Average(module => module.TextError) ?? 0));
        if (modules.Exists(module => module.VisionError is not null))
            Figure("mean output error, vision", Number(modules.Average(module => module.VisionError) ?? 0));
        Figure("time", $"{report.Seconds:0.0} s");
        Figure("peak memory", Bytes(report.PeakBytes));
        page.Append("</div>");

        void Figure(string name, string value) =>
            page.Append($"<div><b>{Svg.Escape(value)}</b><span>{Svg.Escape(name)}</span></div>");
    }

    static string Proof(TradeOff search) => $"Damage ({search.Method} score) over bits per weight. " + (search.LowerBound >= search.Chosen.Score
        ? "The choice is proven to be the best within its limit."
        : $"No choice within the limit is below {Number(search.LowerBound)}; this one has {Number(search.Chosen.Score)}.");

    static void Section(StringBuilder page, string title, string chart, string note, params (string Style, string Name)[] legend)
    {
        if (chart.Length == 0)
            return;
        page.Append($"<section><h2>{Svg.Escape(title)}</h2><p class=\"sub\">{Svg.Escape(note)}</p><p class=\"legend\">");
        foreach (var (style, name) in legend)
            page.Append($"<i class=\"{style}\"></i>{Svg.Escape(name)} ");
        page.Append("</p>").Append(chart).Append("</section>");
    }

    static void Settings(StringBuilder page, RunReport report)
    {
        page.Append("<section><h2>Settings</h2><table class=\"settings\">");
        foreach (var (name, value) in report.Settings.Select(setting => (setting.Name, setting.Value)).Concat(
        [
            ("calibration", report.Calibration is null ? "none"
                : $"{report.Samples} samples of {report.Calibration}: {report.TextTokens} text and {report.VisionTokens} vision tokens"),
            ("resumed", report.Resumed ? "yes" : "no"),
            ("left as they were", string.Join(", ", report.KeptModules.Take(12)) + (report.KeptModules.Count > 12 ? ", …" : "")),
        ]))
            page.Append($"<tr><th>{Svg.Escape(name)}</th><td>{Svg.Escape(value)}</td></tr>");
        page.Append("</table></section>");
    }

    static void Table(StringBuilder page, List<ModuleReport> modules)
    {
        page.Append("<section><h2>Modules</h2><table class=\"modules\"><tr><th>module</th><th>format</th><th>shape</th><th>before</th><th>after</th>"
            + "<th>weight error</th><th>text error</th><th>vision error</th><th>remarks</th></tr>");
        foreach (var module in modules)
            page.Append($"<tr><td>{Svg.Escape(module.Name)}</td><td>{Svg.Escape(module.Scheme)}</td><td>{module.Rows}×{module.Columns}</td>"
                + $"<td>{Bytes(module.BytesBefore)}</td><td>{Bytes(module.BytesAfter)}</td><td>{Number(module.WeightError)}</td>"
                + $"<td>{Number(module.TextError)}</td><td>{Number(module.VisionError)}</td><td>{Svg.Escape(Remarks(module))}</td></tr>");
        page.Append("</table></section>");
    }

    /// <summary>What the algorithm decided about a module.</summary>
    static string Remarks(ModuleReport module) => string.Join("; ", new[]
    {
        module.Alpha is { } alpha ? $"α {Number(alpha)}" : null,
        module.Mu is { } mu ? $"μ {Number(mu)}" : null,
    }.OfType<string>().Concat(module.Notes));

    static string Name(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path));

    static string Number(double? value) => value is not { } number ? "–"
        : number.ToString(Math.Abs(number) is 0 or (>= 1e-3 and < 1e5) ? "0.#####" : "0.###e+0", CultureInfo.InvariantCulture);

    static string Bytes(long bytes) => bytes switch
    {
        >= 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30):0.00} GiB"),
        >= 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0.0} MiB"),
        >= 1 << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 10):0.0} KiB"),
        _ => $"{bytes} B",
    };

    const string Style = """
        :root{--ink:#1b1f24;--soft:#667080;--line:#e3e6ea;--paper:#fff;--weight:#8a5cd1;--text:#2f7ed8;--vision:#e0852b}
        @media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#9aa4b0;--line:#30363d;--paper:#14171a;--weight:#b08cf0;--text:#6aaef5;--vision:#f3a95c}}
        body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
        main{max-width:1000px;margin:0 auto;padding:32px 20px}
        h1{margin:0;font-size:28px}h2{margin:36px 0 0;font-size:18px}.sub{margin:2px 0 0;color:var(--soft);font-size:13px}
        .figures{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}
        .figures div{border:1px solid var(--line);border-radius:8px;padding:10px 14px}
        .figures b{display:block;font-size:18px}.figures span{color:var(--soft);font-size:12px}
        .legend{margin:6px 0;font-size:13px;color:var(--soft);min-height:4px}
        .legend i{display:inline-block;width:10px;height:10px;border-radius:5px;margin:0 5px 0 10px}
        i.weight{background:var(--weight)}i.text{background:var(--text)}i.vision{background:var(--vision)}
        svg{width:100%;height:auto;display:block}
        .grid{stroke:var(--line);stroke-width:1}.label{fill:var(--soft);font-size:11px;font-family:system-ui,sans-serif}
        .weight{fill:var(--weight)}.text{fill:var(--text)}.vision{fill:var(--vision)}
        .s0{fill:#2f7ed8}.s1{fill:#2ca58d}.s2{fill:#e0852b}.s3{fill:#8a5cd1}.s4{fill:#c8553d}.s5{fill:#7a8794}
        table{border-collapse:collapse;font-size:13px;width:100%;margin-top:8px}
        th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
        .modules td:nth-child(n+3),.modules th:nth-child(n+3){text-align:right}.modules td:last-child,.modules th:last-child{text-align:left;color:var(--soft)}
        .warning{border-left:3px solid var(--vision);padding-left:10px}
        """;
}
