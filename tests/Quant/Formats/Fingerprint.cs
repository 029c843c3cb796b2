using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

/// <summary>The first 16 hexadecimal digits of the SHA-256 of a tensor's bytes, as the recorded exports have them.</summary>
static class Fingerprint
{
    public static string Of(ReadOnlySpan<byte> bytes) => System.Convert.ToHexStringLower(SHA256.HashData(bytes))[..16];

    public static string Of(float value) => Of(MemoryMarshal.AsBytes(new ReadOnlySpan<float>(ref value)));

    public static unsafe string Of(Tensor tensor) => Of(new ReadOnlySpan<byte>(tensor.Pointer, checked((int)tensor.Bytes)));
}
