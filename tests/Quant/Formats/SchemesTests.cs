using Nibble.Quant.Formats;

namespace Nibble.Tests.Quant.Formats;

public class SchemesTests
{
    [Theory]
    [InlineData("fp8", "fp8-tensor", "fp8-tensor", true)]
    [InlineData("fp8_pc_pt", "fp8-channel", "fp8-token", false)]
    [InlineData("fp8_per_channel_per_token", "fp8-channel", "fp8-token", false)]
    [InlineData("fp8_pb_wo", "fp8-b128x128", null, false)]
    [InlineData("fp8_2d_blockwise_weight_only", "fp8-b128x128", null, false)]
    [InlineData("int8", "int8-channel", "int8-tensor", true)]
    [InlineData("w4a8", "int4-g128-fp8", "fp8-tensor", true)]
    [InlineData("w4a8_nvfp4_fp8", "nvfp4-b32-fp8", "fp8-tensor", true)]
    [InlineData("w4a8_mxfp4_fp8", "mxfp4-b32", "fp8-tensor", true)]
    [InlineData("w4a8_mxfp4_fp8_dynamic", "mxfp4-b32", "fp8-token", false)]
    [InlineData("int8_wo", "int8-channel", null, false)]
    [InlineData("int8_weight_only", "int8-channel", null, false)]
    [InlineData("int4", "int4-g128", null, false)]
    [InlineData("int4_blockwise_weight_only", "int4-g128", null, false)]
    [InlineData("nvfp4", "nvfp4-b16", "nvfp4-b16", true)]
    [InlineData("w4a16_nvfp4", "nvfp4-b16", null, false)]
    [InlineData("W4A16-NVFP4", "nvfp4-b16", null, false)]
    [InlineData("mxfp4", "mxfp4-b32", "mxfp4-b32", false)]
    [InlineData("mxfp8", "mxfp8-b32", "mxfp8-b32", false)]
    [InlineData("int3", "int3-g128", null, false)]
    [InlineData("int2", "int2-g128-asym", null, false)]
    public void Names_and_aliases_are_found(string name, string weight, string? activation, bool needsData)
    {
        var scheme = Schemes.Find(name)!;
        Assert.Equal(weight, scheme.Weight.Name);
        Assert.Equal(activation, scheme.Activation?.Name);
        Assert.Equal(needsData, scheme.NeedsData);
    }

    [Fact]
    public void An_unknown_name_is_not_found() => Assert.Null(Schemes.Find("fp7"));

    [Fact]
    public void Every_name_is_unique_and_found()
    {
        var entries = Schemes.All.Concat(Schemes.EvaluationOnly).ToArray();
        var names = entries.SelectMany(entry => entry.Aliases.Prepend(entry.Scheme.Name)).ToArray();
        Assert.Equal(names.Length, names.Distinct().Count());
        Assert.All(entries, entry => Assert.Same(entry.Scheme, Schemes.Find(entry.Scheme.Name)));
        Assert.Equal(["fp8", "fp8_cast", "fp8_affine", "nvfp4", "nvfp4_cast", "nvfp4_affine", "nvfp4_rotate"], Schemes.KeyValueNames);
    }

    [Theory]
    [InlineData("fp8", "fp8")]
    [InlineData("kv_fp8", "fp8")]
    [InlineData("FP8-KV", "fp8")]
    [InlineData("nvfp4", "nvfp4")]
    [InlineData("kv_nvfp4", "nvfp4")]
    [InlineData("fp8_affine", "fp8_affine")]
    [InlineData("kv-nvfp4-rotate", "nvfp4_rotate")]
    [InlineData("int8", null)]
    [InlineData("none", null)]
    public void Cache_formats_are_found(string name, string? found) => Assert.Equal(found, Schemes.FindKeyValues(name)?.Name);
}
