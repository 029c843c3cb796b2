using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

/// <summary>Every linear of two models, quantized to the bytes ModelOpt 0.47 exported.</summary>
public class ExportedBytesTests
{
    static readonly string[][] fusedModules =
    [
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.o_proj"],
        ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"],
    ];

    [Theory]
    [InlineData("llama", "fp8")]
    [InlineData("llama", "fp8_per_channel_per_token")]
    [InlineData("llama", "int8_weight_only")]
    [InlineData("llama", "int4_blockwise_weight_only")]
    [InlineData("llama", "nvfp4")]
    [InlineData("llama", "w4a16_nvfp4")]
    [InlineData("llama", "mxfp4")]
    [InlineData("llama", "mxfp8")]
    [InlineData("llama", "int8")]
    [InlineData("llama", "w4a8_nvfp4_fp8")]
    [InlineData("llama", "w4a8_mxfp4_fp8")]
    [InlineData("llama", "fp8_2d_blockwise_weight_only")]
    [InlineData("vlm", "fp8")]
    [InlineData("vlm", "fp8_per_channel_per_token")]
    [InlineData("vlm", "nvfp4")]
    [InlineData("vlm", "mxfp8")]
    public void All_layers_have_the_same_bytes(string model, string preset)
    {
        using var export = ModelOpt.Json($"exports/{model}/{preset}.json");
        using var source = ModelOpt.Model(model);
        var expected = export.RootElement.GetProperty("tensors").EnumerateObject()
            .Where(tensor => tensor.Value[2].GetString() != "source" && !tensor.Name.EndsWith(".input_scale"))
            .ToDictionary(tensor => tensor.Name, tensor => tensor.Value[2].GetString()!);
        var format = Schemes.Find(preset)!.Weight;
        for (var layer = 0; layer < 2; layer++)
            foreach (var modules in fusedModules)
            {
                var names = modules.Select(module => $"model.layers.{layer}.{module}").ToArray();
                float? shared = format.FusedModulesShareScale
                    ? names.Max(name => WeightQuantizer.AbsMax(source.Load(name + ".weight")))
                    : null;
                foreach (var name in names)
                {
                    var quantized = WeightQuantizer.Quantize(source.Load(name + ".weight"), format, shared, name);
                    foreach (var (suffix, fingerprint) in Fingerprints(quantized))
                    {
                        Assert.True(expected.Remove(name + suffix, out var recorded), $"{name}{suffix} was not exported");
                        Assert.True(recorded == fingerprint, $"{name}{suffix}: {recorded} expected, got {fingerprint}");
                    }
                }
            }
        Assert.Empty(expected);
    }

    static IEnumerable<(string Suffix, string Fingerprint)> Fingerprints(QuantizedWeight weight)
    {
        yield return (".weight", weight.Format is Int4 ? Fingerprint.Of(PairsOfRows(weight)) : Fingerprint.Of(weight.Codes));
        if (weight.Format.RowsPerScale > 1)
            yield return (".weight_scale", Fingerprint.Of(FirstOfBlocks(weight)));
        else if (weight.Scales is not null)
            yield return (".weight_scale", Fingerprint.Of(weight.Scales));
        if (weight.Format.HasTensorScale)
            yield return (weight.Scales is null ? ".weight_scale" : ".weight_scale_2", Fingerprint.Of(weight.TensorScale));
    }

    static Tensor FirstOfBlocks(QuantizedWeight weight)
    {
        var rows = Enumerable.Range(0, weight.Rows).Where(row => row % weight.Format.RowsPerScale == 0).ToList();
        var scales = Tensor.Empty(rows.Count, weight.Scales!.Columns);
        foreach (var row in rows)
            weight.Scales.Row(row).CopyTo(scales.Row(row / weight.Format.RowsPerScale));
        return scales;
    }

    /// <summary>INT4 lies on disk as [out / 2, in], the even row in the low nibble.</summary>
    static byte[] PairsOfRows(QuantizedWeight weight)
    {
        var packed = new byte[weight.Rows / 2 * weight.Columns];
        for (var row = 0; row < weight.Rows; row++)
            for (var column = 0; column < weight.Columns; column++)
            {
                var code = (weight.Codes.Row<byte>(row)[column / 2] >> (column % 2 * 4)) & 15;
                packed[row / 2 * weight.Columns + column] |= (byte)(code << (row % 2 * 4));
            }
        return packed;
    }
}
