using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Formats;

/// <summary>What ModelOpt 0.47 computed; see tests/fixtures/modelopt/README.md.</summary>
static class ModelOpt
{
    static readonly SafetensorsFile codecs = SafetensorsFile.Open(Repository.Fixture("modelopt/codecs/codecs.safetensors"));

    public static float[] Floats(string name) => [.. codecs.Load(name).Span<float>()];

    public static byte[] Bytes(string name) => [.. codecs.Load(name).Span<byte>()];

    public static JsonDocument CodecSettings() => Json("codecs/codecs.json");

    public static JsonDocument Json(string path) => JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("modelopt/" + path)));

    public static SafetensorsFile Model(string name) =>
        SafetensorsFile.Open(Repository.Fixture($"modelopt/models/{name}/model.safetensors"));

    /// <summary>A table over the BF16 numbers from 0 on; a negative one has the sign bit too, but for listed exceptions.</summary>
    public static IEnumerable<(float Value, int Code)> BF16Table(string name, int signBit)
    {
        var codes = Bytes(name);
        using var settings = CodecSettings();
        var entry = settings.RootElement.GetProperty(name);
        var exceptions = entry.GetProperty("exceptions_negative").EnumerateArray()
            .ToDictionary(exception => exception[0].GetInt32(), exception => exception[1].GetInt32());
        Assert.Equal(entry.GetProperty("exceptions_total").GetInt32(), exceptions.Count);
        for (var bits = 0; bits < 0x8000; bits++)
        {
            yield return (Nibble.Tensors.Convert.BF16ToSingle((ushort)bits), codes[bits]);
            var negative = bits | 0x8000;
            yield return (Nibble.Tensors.Convert.BF16ToSingle((ushort)negative),
                exceptions.TryGetValue(negative, out var code) ? code : codes[bits] | signBit);
        }
    }
}
