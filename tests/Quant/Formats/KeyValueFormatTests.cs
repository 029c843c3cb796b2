using Nibble.Quant.Formats;

namespace Nibble.Tests.Quant.Formats;

public class KeyValueFormatTests
{
    [Theory]
    [InlineData("kvonly--kv_fp8", "fp8")]
    [InlineData("kvonly--kv_nvfp4", "nvfp4")]
    public void Scales_are_those_of_the_checkpoint(string export, string name)
    {
        using var json = ModelOpt.Json($"exports/llama/{export}.json");
        var tensors = json.RootElement.GetProperty("tensors");
        var format = Schemes.FindKeyValues(name)!;
        var compared = 0;
        foreach (var amax in json.RootElement.GetProperty("amax").EnumerateObject())
        {
            var tensor = amax.Name.Replace("k_bmm_quantizer", "k_proj.k_scale").Replace("v_bmm_quantizer", "v_proj.v_scale");
            Assert.Equal(tensors.GetProperty(tensor)[2].GetString(), Fingerprint.Of(format.Scale(amax.Value.GetSingle())));
            compared++;
        }
        Assert.Equal(4, compared);
    }

    [Fact]
    public void NvFp4_rounds_as_ModelOpt_simulates()
    {
        var (values, expected) = (ModelOpt.Floats("block.x"), ModelOpt.Floats("block.fake_nvfp4_global"));
        var format = new NvFp4KeyValues();
        format.Round(values, format.Scale(Amax.Of(values)));
        Assert.Equal(expected, values);
    }

    [Fact]
    public void Fp8_rounds_as_ModelOpt_simulates()
    {
        var (values, expected) = (ModelOpt.Floats("fp8_fake.x"), ModelOpt.Floats("fp8_fake.y_amax448"));
        var format = new Fp8KeyValues();
        format.Round(values, format.Scale(448));
        Assert.Equal(expected, values);
    }
}
