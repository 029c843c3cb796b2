using Nibble.Models;
using Nibble.Models.Images;

namespace Nibble.Quant.Calibration;

/// <summary>Pictures named in data files.</summary>
public static class Pictures
{
    const long LargestFile = 256 << 20;

    /// <exception cref="QuantizationException">A file is missing or too large.</exception>
    /// <exception cref="ModelException">A file is no picture.</exception>
    public static List<Image> Load(IEnumerable<string> paths, string folder) => [.. paths.Select(path => Load(Path.Combine(folder, path)))];

    public static Image Load(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
            throw new QuantizationException($"{path}: the picture does not exist.");
        if (file.Length > LargestFile)
            throw new QuantizationException($"{path}: {file.Length} bytes; a picture has at most {LargestFile}.");
        return ImageDecoder.Decode(File.ReadAllBytes(path), path);
    }
}
