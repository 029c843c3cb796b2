using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant.Evaluation;

/// <summary>
/// Inputs and outputs of one run of another framework, as tensors <c>&lt;case&gt;.input_ids</c> [B, T] or [T] with optional
/// <c>attention_mask</c>, <c>pixel_values</c>, <c>image_grid_thw</c>, and whatever outputs were recorded beside them.
/// </summary>
public sealed class RecordedCase
{
    static readonly string[] InputNames =
        ["input_ids", "attention_mask", "pixel_values", "image_grid_thw", "mm_token_type_ids", "token_type_ids"];

    readonly ITensorSource source;
    readonly string prefix, origin;

    RecordedCase(ITensorSource source, string prefix, string origin)
    {
        this.source = source;
        this.prefix = prefix;
        this.origin = origin;
        var ids = source.Load(prefix + "input_ids");
        if (ids.DType is not (DType.I64 or DType.I32) || ids.Shape.Rank is < 1 or > 2)
            throw new QuantizationException($"{origin}: {prefix}input_ids: I64 [B, T] or [T] expected, found {ids}.");
        Batch = ids.Shape.Rank == 2 ? (int)ids.Shape[0] : 1;
        Length = (int)ids.Shape[-1];
        Ids = TokenSamples.Ids(ids);
        Mask = Optional("attention_mask") is { } mask ? Numbers(mask) : null;
        if (Mask is not null && Mask.Length != Ids.Length)
            throw new QuantizationException($"{origin}: {prefix}attention_mask: {Ids.Length} values expected, found {Mask.Length}.");
    }

    /// <summary>Without the trailing dot; empty where the names have no prefix.</summary>
    public string Name => prefix.TrimEnd('.');

    public int Batch { get; }

    /// <summary>Tokens of a row, padding included.</summary>
    public int Length { get; }

    int[] Ids { get; }

    int[]? Mask { get; }

    /// <summary>All cases of a recording.</summary>
    /// <exception cref="QuantizationException">There are none.</exception>
    public static List<RecordedCase> Find(ITensorSource source, string origin)
    {
        var cases = source.Tensors.Where(tensor => tensor.Name == "input_ids" || tensor.Name.EndsWith(".input_ids", StringComparison.Ordinal))
            .Select(tensor => new RecordedCase(source, tensor.Name[..^"input_ids".Length], origin)).ToList();
        return cases.Count > 0 ? cases : throw new QuantizationException($"{origin}: no tensor input_ids or <case>.input_ids.");
    }

    /// <summary>Names of the recorded outputs, without the prefix.</summary>
    public IEnumerable<string> Outputs(IEnumerable<string> otherCases) => source.Tensors.Select(tensor => tensor.Name)
        .Where(name => name.StartsWith(prefix, StringComparison.Ordinal)
            && !otherCases.Any(other => other.Length > prefix.Length && name.StartsWith(other, StringComparison.Ordinal)))
        .Select(name => name[prefix.Length..])
        .Where(name => !InputNames.Contains(name));

    /// <summary>The prefix with its dot, to tell cases apart.</summary>
    public string Prefix => prefix;

    public Tensor Load(string output) => source.Load(prefix + output);

    /// <summary>One row without its padding.</summary>
    public Sample Sample(int row)
    {
        var ids = Enumerable.Range(0, Length).Where(column => IsToken(row, column)).Select(column => Ids[row * Length + column]).ToArray();
        if (Optional("pixel_values") is not { } patches)
            return new Sample(ids, []);
        if (Batch != 1 || Optional("image_grid_thw") is not { } grids)
            throw new QuantizationException($"{origin}: {prefix}pixel_values needs image_grid_thw and a batch of one.");
        return new Sample(ids, TokenSamples.Pictures(patches, grids, $"{origin}: {prefix}image_grid_thw"));
    }

    /// <summary>Whether a place of a row holds a token and not padding.</summary>
    public bool IsToken(int row, int column) => Mask is null || Mask[row * Length + column] != 0;

    Tensor? Optional(string name) => source.Find(prefix + name) is null ? null : source.Load(prefix + name);

    static int[] Numbers(Tensor tensor)
    {
        if (tensor.DType is DType.I64 or DType.I32)
            return TokenSamples.Ids(tensor);
        if (tensor.DType is DType.U8 or DType.Bool)
            return [.. tensor.Span<byte>().ToArray().Select(value => (int)value)];
        using var floats = Tensors.Convert.ToF32(tensor);
        return [.. floats.Span<float>().ToArray().Select(value => (int)value)];
    }
}
