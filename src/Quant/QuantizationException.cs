namespace Nibble.Quant;

/// <summary>A request or a tensor that cannot be quantized as asked. Names the tensor, what was expected and what was found.</summary>
public sealed class QuantizationException(string message, Exception? inner = null) : Exception(message, inner);
