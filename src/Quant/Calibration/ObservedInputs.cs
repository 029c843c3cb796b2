using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>Records what the watched modules of a stage are multiplied with. Modules with the same input share their statistics.</summary>
/// <param name="scope">Of the stage: outside the language model every token is a vision token.</param>
/// <param name="keptRows">Input rows kept per group and modality.</param>
/// <param name="needs">What else must be known of the inputs of a module; null: nothing.</param>
public sealed class ObservedInputs(
    Scope scope, Func<string, bool> watched, int keptRows, Func<string, StatisticNeeds>? needs = null) : IDisposable
{
    readonly Dictionary<string, LayerStatistics> layers = [];

    /// <summary>By module; without those that no token reached.</summary>
    public IReadOnlyDictionary<string, LayerStatistics> Layers => layers;

    /// <summary>Takes in what a step is about to multiply for one sample.</summary>
    /// <param name="sample">The index of the sample.</param>
    /// <exception cref="QuantizationException">An input is NaN or infinite.</exception>
    public void Observe(Step step, Pass pass, int sample = 0)
    {
        foreach (var group in step.Inputs)
            if (group.Modules.Any(watched) && group.Rows(pass) is { } rows)
            {
                Of(group, rows.X.Columns).Observe(rows.X, Modalities.Of(pass, scope, rows), sample);
                if (rows.Tokens is not null)
                    rows.X.Dispose();
            }
    }

    /// <summary>
    /// The largest magnitude a module's input scale has to cover. The experts of a layer share it, so that those no token reached have a
    /// valid one; any other module no token reached has 0, and then takes the scale of the format's whole range.
    /// </summary>
    public float Amax(StageLoader stage, string module) =>
        stage.SharingInput(module).Max(name => layers.GetValueOrDefault(name)?.Amax ?? 0);

    /// <summary>Takes over what an earlier run learned of these modules, instead of observing.</summary>
    /// <exception cref="QuantizationException">The statistics are not what they should be.</exception>
    public void Restore(StoredStatistics stored, IEnumerable<string> modules)
    {
        foreach (var module in modules)
            if (!layers.ContainsKey(module) && stored.GroupOf(module) is { } group && stored.Inputs(group, keptRows) is { } statistics)
                foreach (var member in group.Modules)
                    layers[member] = statistics;
    }

    /// <summary>Releases the rows its statistics kept.</summary>
    public void Dispose()
    {
        foreach (var statistics in layers.Values.Distinct())
            statistics.Dispose();
    }

    LayerStatistics Of(InputGroup group, int width)
    {
        if (layers.TryGetValue(group.Modules[0], out var known))
            return known;
        var wanted = group.Modules.Where(watched).ToList();
        var all = wanted.Select(module => needs?.Invoke(module) ?? StatisticNeeds.None).Aggregate((a, b) => a | b);
        var statistics = new LayerStatistics(wanted[0], width, keptRows, all);
        foreach (var module in group.Modules)
            layers[module] = statistics;
        return statistics;
    }
}

/// <summary>Which token of a sample is which.</summary>
static class Modalities
{
    /// <summary>The modality of each row.</summary>
    public static Func<int, Modality> Of(Pass pass, Scope scope, InputRows rows)
    {
        if (scope != Scope.Language)
            return _ => Modality.Vision;
        if (pass.ImageMask is not { } mask)
            return _ => Modality.Text;
        return rows.Tokens is { } tokens ? row => Of(mask[tokens[row]]) : row => Of(mask[row]);
    }

    static Modality Of(bool vision) => vision ? Modality.Vision : Modality.Text;
}
