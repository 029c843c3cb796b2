using Nibble.Models;
using Nibble.Models.Generation;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant.Evaluation;

/// <summary>What a comparison found.</summary>
/// <param name="NotComputed">Recorded tensors that no stage of this engine observes.</param>
public sealed record ComparisonResult(IReadOnlyList<ComparedOutput> Outputs, IReadOnlyList<string> NotComputed)
{
    public double WorstAbs => Outputs.Select(output => output.MaxAbs).DefaultIfEmpty(0).Max();
}

/// <summary>Runs a model on recorded inputs and holds everything it computes against what was recorded.</summary>
public sealed class ModelComparison(INetwork network, Generator generator)
{
    public ComparisonResult Run(ITensorSource recording, string origin, string? onlyCase, CancellationToken cancellation = default)
    {
        var cases = RecordedCase.Find(recording, origin);
        var prefixes = cases.Select(recorded => recorded.Prefix).ToList();
        var chosen = onlyCase is null ? cases : cases.Where(recorded => recorded.Name == onlyCase).ToList();
        if (chosen.Count == 0)
            throw new QuantizationException($"{origin}: no case '{onlyCase}'; there are {string.Join(", ", cases.Select(recorded => $"'{recorded.Name}'"))}.");
        var outputs = new List<ComparedOutput>();
        var missing = new List<string>();
        foreach (var recorded in chosen)
            Compare(recorded, [.. recorded.Outputs(prefixes)], outputs, missing, cancellation);
        return new ComparisonResult(outputs, missing);
    }

    void Compare(RecordedCase recorded, List<string> names, List<ComparedOutput> outputs, List<string> missing, CancellationToken cancellation)
    {
        var ours = names.ToDictionary(name => name, _ => new List<float>());
        for (var row = 0; row < recorded.Batch; row++)
            Observe(recorded, row, ours, cancellation);
        foreach (var name in names)
            if (ours[name].Count == 0)
                missing.Add(recorded.Prefix + name);
            else
                outputs.Add(ComparedOutput.Of(recorded.Prefix + name, Floats(recorded.Load(name)), [.. ours[name]]));
    }

    /// <summary>Adds what this engine computes for one row to the values of each recorded name.</summary>
    void Observe(RecordedCase recorded, int row, Dictionary<string, List<float>> ours, CancellationToken cancellation)
    {
        var sample = recorded.Sample(row);
        var wanted = ours.Keys.Select(name => (Name: name, Found: Observed.Find(name))).Where(pair => pair.Found is not null).ToList();
        using var logits = generator.Logits(sample, (name, tensor) =>
        {
            foreach (var (recordedName, found) in wanted)
                if (found!.Name == name)
                    ours[recordedName].AddRange(Placed(recorded, row, tensor, found.LastRows, sample.Ids.Length));
        }, cancellation);

        foreach (var name in ours.Keys)
            switch (name)
            {
                case "position_ids":
                    Positions(recorded, row, sample, ours[name]);
                    break;
                case "generated" or "greedy":
                    ours[name].AddRange(Greedy(recorded, name, sample, cancellation).Select(token => (float)token));
                    break;
                case "generated_logits" or "greedy_logits_last":
                    Continued(recorded, row, name, sample, ours[name], cancellation);
                    break;
            }
    }

    IEnumerable<int> Greedy(RecordedCase recorded, string name, Sample sample, CancellationToken cancellation) =>
        generator.Generate(sample, new GenerationOptions { MaxNewTokens = (int)recorded.Load(name).Shape[-1] }, cancellation);

    /// <summary>The logits each recorded greedy token, or the last one, was taken from.</summary>
    void Continued(RecordedCase recorded, int row, string name, Sample sample, List<float> ours, CancellationToken cancellation)
    {
        var all = name == "generated_logits";
        var tokens = TokenSamples.Ids(recorded.Load(all ? "generated" : "greedy"));
        var count = tokens.Length / recorded.Batch;
        var whole = sample with { Ids = [.. sample.Ids, .. tokens.AsSpan(row * count, count - 1)] };
        using var logits = generator.Logits(whole, null, cancellation);
        for (var step = all ? 0 : count - 1; step < count; step++)
            ours.AddRange(logits.Row(sample.Ids.Length - 1 + step));
    }

    /// <summary>Recorded as [axes, B, T]: filled axis by axis once the last row of the batch is known, so only batches of one are compared.</summary>
    void Positions(RecordedCase recorded, int row, Sample sample, List<float> ours)
    {
        var positions = network.Begin(sample).Positions;
        if (recorded.Batch > 1 && positions.Length > 1)
            return;
        foreach (var axis in positions)
        {
            var next = 0;
            for (var column = 0; column < recorded.Length; column++)
                ours.Add(recorded.IsToken(row, column) ? axis[next++] : 0);
        }
    }

    /// <summary>Rows of one sequence at the places they have with padding; padded places are zero, as recorded.</summary>
    static float[] Placed(RecordedCase recorded, int row, Tensor tensor, int? lastRows, int tokens)
    {
        if (lastRows is { } last)
            return tensor.Slice(Math.Max(0, tensor.Rows - last), Math.Min(last, tensor.Rows)).Span<float>().ToArray();
        if (tensor.Rows != tokens || tokens == recorded.Length)
            return tensor.Span<float>().ToArray();
        var placed = new float[recorded.Length * tensor.Columns];
        var next = 0;
        for (var column = 0; column < recorded.Length; column++)
            if (recorded.IsToken(row, column))
                tensor.Row(next++).CopyTo(placed.AsSpan(column * tensor.Columns));
        return placed;
    }

    static float[] Floats(Tensor tensor)
    {
        if (tensor.DType is DType.I64 or DType.I32)
            return [.. TokenSamples.Ids(tensor).Select(value => (float)value)];
        using var floats = Tensors.Convert.ToF32(tensor);
        return floats.Span<float>().ToArray();
    }
}
