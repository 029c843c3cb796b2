using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration.Calibrators;

/// <summary>What ModelOpt's calibrators gave; see tests/fixtures/modelopt/README.md.</summary>
static class Recorded
{
    static readonly SafetensorsFile inputs = SafetensorsFile.Open(Repository.Fixture("modelopt/calib/inputs.safetensors"));
    static readonly SafetensorsFile histograms =
        SafetensorsFile.Open(Repository.Fixture("modelopt/calib/histograms.safetensors"));

    public static JsonElement Results { get; } =
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("modelopt/calib/results.json"))).RootElement;

    public static TheoryData<string> Names() =>
        [.. Results.GetProperty("cases").EnumerateArray().Select(entry => entry.GetProperty("case").GetString()!)];

    public static JsonElement Case(string name) =>
        Results.GetProperty("cases").EnumerateArray().Single(entry => entry.GetProperty("case").GetString() == name);

    public static Tensor[] Batches(string name) =>
        [.. Case(name).GetProperty("batches").EnumerateArray().Select(batch => inputs.Load(batch.GetString()!))];

    public static Tensor Input(string name) => inputs.Load(name);

    public static Tensor Histogram(string name) => histograms.Load(name);
}
