namespace Nibble.Tensors.Host;

/// <summary>
/// One piece of native memory per thread, kept from call to call, for the innermost working sets. There is only one per thread:
/// whoever asks for it must be done with it before calling anything that may ask too.
/// </summary>
static unsafe class Scratch
{
    [ThreadStatic]
    static NativeStorage? storage;

    /// <summary>At least this many floats, aligned to 64 bytes, contents undefined.</summary>
    public static float* Floats(int count)
    {
        var bytes = (long)count * sizeof(float);
        if (storage is null || storage.Bytes < bytes)
        {
            storage?.Dispose();
            storage = new NativeStorage(bytes);
        }
        return (float*)storage.Pointer;
    }
}
