using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// A model folder whose tensors are F32, as ModelOpt held the models it recorded: what is stored in the type of the weights (norms,
/// factors of inputs, matrices of low rank) is not rounded further then.
/// </summary>
sealed class WideModel : IDisposable
{
    readonly TemporaryFolder folder = new();

    public WideModel(string model)
    {
        using var narrow = CheckpointFolder.Open(model);
        foreach (var file in Directory.GetFiles(model, "*.json"))
            File.Copy(file, folder.In(System.IO.Path.GetFileName(file)));
        using (var writer = SafetensorsWriter.Create(folder.In("model.safetensors"),
            [.. narrow.Tensors.Select(tensor => tensor with { DType = DType.F32 })]))
        {
            foreach (var tensor in narrow.Tensors)
                writer.Write(tensor.Name, Nibble.Tensors.Convert.ToF32(narrow.Load(tensor.Name)));
            writer.Complete();
        }
    }

    public string Path => folder.Path;

    public void Dispose() => folder.Dispose();
}
