using System.Globalization;

namespace Nibble.Quant.Reports;

/// <summary>The pictures of a report.</summary>
static class Charts
{
    const double Width = 960, Left = 64, Right = 12, Top = 12, Bottom = 46;

    /// <summary>Errors of every module on a logarithmic axis: weight, output on text, output on vision.</summary>
    public static string Errors(IReadOnlyList<ModuleReport> modules)
    {
        var points = modules.SelectMany((module, index) => Points(module).Select(point => (index, module, point.Error, point.Style, point.What))).ToList();
        if (points.Count == 0)
            return "";
        const double height = 320;
        var svg = new Svg(Width, height, "Relative squared error of every module");
        var low = Math.Floor(Math.Log10(points.Min(point => point.Error)));
        var high = Math.Max(low + 1, Math.Ceiling(Math.Log10(points.Max(point => point.Error))));
        double Y(double error) => Top + (height - Top - Bottom) * (high - Math.Log10(error)) / (high - low);
        double X(int index) => Left + (Width - Left - Right) * (index + 0.5) / modules.Count;

        for (var decade = low; decade <= high; decade++)
        {
            var y = Y(Math.Pow(10, decade));
            svg.Line(Left, y, Width - Right, y, "grid");
            svg.Text(Left - 8, y + 4, "1e" + decade.ToString("0", CultureInfo.InvariantCulture), "end");
        }
        StageTicks(svg, modules, X, height);
        foreach (var (index, module, error, style, what) in points)
            svg.Circle(X(index), Y(error), 3.5, style, $"{module.Name} ({module.Scheme})\n{what}: {Format(error)}");
        return svg.ToString();
    }

    /// <summary>Which module of which stage became which format: one cell a module.</summary>
    public static string Allocation(IReadOnlyList<ModuleReport> modules)
    {
        var stages = modules.Select(module => Split(module.Name).Stage).Distinct().ToList();
        var parts = modules.Select(module => Split(module.Name).Part).Distinct().ToList();
        if (modules.Count == 0)
            return "";
        const double row = 20, names = 150;
        var column = Math.Min(28, (Width - names - Right) / stages.Count);
        var svg = new Svg(Width, Top + parts.Count * row + Bottom, "Format of every module");
        var schemes = Schemes(modules);
        foreach (var module in modules)
        {
            var (stage, part) = Split(module.Name);
            svg.Rectangle(names + stages.IndexOf(stage) * column, Top + parts.IndexOf(part) * row, column - 2, row - 2,
                $"s{schemes.IndexOf(module.Scheme) % 6}", $"{module.Name}\n{module.Scheme}, {module.Rows}×{module.Columns}");
        }
        for (var i = 0; i < parts.Count; i++)
            svg.Text(names - 8, Top + i * row + 14, parts[i], "end");
        var every = Math.Max(1, stages.Count / 12);
        for (var i = 0; i < stages.Count; i += every)
            svg.Text(names + i * column + column / 2 - 1, Top + parts.Count * row + 18, ShortStage(stages[i]), "middle");
        for (var i = 0; i < schemes.Count; i++)
        {
            svg.Rectangle(names + i * 140, svg.Height - 16, 12, 12, $"s{i % 6}");
            svg.Text(names + i * 140 + 18, svg.Height - 6, schemes[i]);
        }
        return svg.ToString();
    }

    /// <summary>Largest input magnitude of every module, text beside vision.</summary>
    public static string Activations(IReadOnlyList<ModuleReport> modules)
    {
        var known = modules.Where(module => module.TextAmax > 0 || module.VisionAmax > 0).ToList();
        if (known.Count == 0)
            return "";
        const double height = 240;
        var svg = new Svg(Width, height, "Largest input of every module by modality");
        var largest = known.Max(module => Math.Max(module.TextAmax ?? 0, module.VisionAmax ?? 0));
        double Y(double value) => Top + (height - Top - Bottom) * (1 - value / largest);
        var slot = (Width - Left - Right) / known.Count;
        for (var tick = 0; tick <= 4; tick++)
        {
            svg.Line(Left, Y(largest * tick / 4), Width - Right, Y(largest * tick / 4), "grid");
            svg.Text(Left - 8, Y(largest * tick / 4) + 4, Format(largest * tick / 4), "end");
        }
        StageTicks(svg, known, index => Left + (index + 0.5) * slot, height);
        for (var i = 0; i < known.Count; i++)
        {
            Bar(known[i].TextAmax, 0.1, "text", "text");
            Bar(known[i].VisionAmax, 0.5, "vision", "vision");

            void Bar(float? amax, double at, string style, string what)
            {
                if (amax is { } value and > 0)
                    svg.Rectangle(Left + (i + at) * slot, Y(value), 0.4 * slot, height - Bottom - Y(value), style,
                        $"{known[i].Name}\nlargest {what} input {Format(value)}");
            }
        }
        return svg.ToString();
    }

    /// <summary>Damage against bits per weight; the chosen point is marked.</summary>
    public static string SizeAgainstDamage(TradeOff search)
    {
        const double height = 280;
        var points = search.Front.Append(search.Chosen).ToList();
        var svg = new Svg(Width, height, "Damage against effective bits");
        var (least, most, worst) = (points.Min(point => point.EffectiveBits), points.Max(point => point.EffectiveBits), points.Max(point => point.Score));
        double X(double bits) => Left + (Width - Left - Right) * (bits - least) / Math.Max(most - least, 1e-9);
        double Y(double score) => Top + (height - Top - Bottom) * (1 - score / Math.Max(worst, double.Epsilon));
        for (var tick = 0; tick <= 4; tick++)
        {
            svg.Line(Left, Y(worst * tick / 4), Width - Right, Y(worst * tick / 4), "grid");
            svg.Text(Left - 8, Y(worst * tick / 4) + 4, Format(worst * tick / 4), "end");
            svg.Text(X(least + (most - least) * tick / 4), height - Bottom + 18, Format(least + (most - least) * tick / 4), "middle");
        }
        foreach (var (from, to) in search.Front.Zip(search.Front.Skip(1)))
            svg.Line(X(from.EffectiveBits), Y(from.Score), X(to.EffectiveBits), Y(to.Score), "grid");
        foreach (var point in search.Front)
            svg.Circle(X(point.EffectiveBits), Y(point.Score), 2.5, "text", Tip(point));
        svg.Circle(X(search.Chosen.EffectiveBits), Y(search.Chosen.Score), 6, "vision", "chosen\n" + Tip(search.Chosen));
        return svg.ToString();

        static string Tip(TradeOffPoint point) => $"{Format(point.EffectiveBits)} bits, {point.Bytes:N0} bytes\nscore {Format(point.Score)}";
    }

    /// <summary>Seconds of every stage: running samples, then quantizing.</summary>
    public static string Timeline(IReadOnlyList<StageReport> stages)
    {
        if (stages.Count == 0)
            return "";
        const double height = 180;
        var svg = new Svg(Width, height, "Seconds of every stage");
        var longest = Math.Max(1e-6, stages.Max(stage => stage.ForwardSeconds + stage.QuantizeSeconds));
        var slot = (Width - Left - Right) / stages.Count;
        var scale = (height - Top - Bottom) / longest;
        svg.Line(Left, Top, Width - Right, Top, "grid");
        svg.Text(Left - 8, Top + 4, Format(longest) + " s", "end");
        svg.Line(Left, height - Bottom, Width - Right, height - Bottom, "grid");
        for (var i = 0; i < stages.Count; i++)
        {
            var stage = stages[i];
            var tip = $"{stage.Name}\nforward {Format(stage.ForwardSeconds)} s, quantize {Format(stage.QuantizeSeconds)} s";
            svg.Rectangle(Left + (i + 0.15) * slot, height - Bottom - stage.ForwardSeconds * scale, 0.7 * slot, stage.ForwardSeconds * scale, "text", tip);
            svg.Rectangle(Left + (i + 0.15) * slot, height - Bottom - (stage.ForwardSeconds + stage.QuantizeSeconds) * scale, 0.7 * slot,
                stage.QuantizeSeconds * scale, "weight", tip);
        }
        var every = Math.Max(1, stages.Count / 16);
        for (var i = 0; i < stages.Count; i += every)
            svg.Text(Left + (i + 0.5) * slot, height - Bottom + 18, ShortStage(stages[i].Name), "middle");
        return svg.ToString();
    }

    /// <summary>The schemes in order of appearance; their place is their colour.</summary>
    static List<string> Schemes(IEnumerable<ModuleReport> modules) => [.. modules.Select(module => module.Scheme).Distinct()];

    static IEnumerable<(double Error, string Style, string What)> Points(ModuleReport module) =>
        new (double? Error, string Style, string What)[]
        {
            (module.WeightError, "weight", "weight error"),
            (module.TextError, "text", "output error on text"),
            (module.VisionError, "vision", "output error on vision"),
        }.Where(point => point.Error is > 0 && double.IsFinite(point.Error.Value)).Select(point => (point.Error!.Value, point.Style, point.What));

    static void StageTicks(Svg svg, IReadOnlyList<ModuleReport> modules, Func<int, double> x, double height)
    {
        var starts = modules.Select((module, index) => (Split(module.Name).Stage, index)).GroupBy(pair => pair.Stage)
            .Select(group => (group.Key, First: group.Min(pair => pair.index), Middle: group.Average(pair => pair.index))).ToList();
        var every = Math.Max(1, starts.Count / 16);
        for (var i = 0; i < starts.Count; i++)
        {
            if (i > 0)
                svg.Line((x(starts[i].First) + x(starts[i].First - 1)) / 2, Top, (x(starts[i].First) + x(starts[i].First - 1)) / 2, height - Bottom, "grid");
            if (i % every == 0)
                svg.Text(x((int)starts[i].Middle), height - Bottom + 18, ShortStage(starts[i].Key), "middle");
        }
    }

    /// <summary><c>model.layers.3.mlp.up_proj</c> is part <c>mlp.up_proj</c> of stage <c>model.layers.3</c>.</summary>
    static (string Stage, string Part) Split(string module)
    {
        var words = module.Split('.');
        var number = Array.FindIndex(words, word => word.All(char.IsAsciiDigit));
        return number < 0 ? (module, module) : (string.Join('.', words[..(number + 1)]), string.Join('.', words[(number + 1)..]));
    }

    /// <summary><c>visual.blocks.2</c> as <c>visual 2</c>.</summary>
    static string ShortStage(string stage)
    {
        var words = stage.Split('.');
        return words.Length > 1 && words[^1].All(char.IsAsciiDigit) ? $"{(words[0] == "model" ? "" : words[0] + " ")}{words[^1]}" : words[^1];
    }

    static string Format(double value) => value.ToString(
        Math.Abs(value) switch { 0 => "0", < 1e-3 or >= 1e5 => "0.##e+0", < 1 => "0.####", < 100 => "0.##", _ => "0.#" }, CultureInfo.InvariantCulture);
}
