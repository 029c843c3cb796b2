namespace Nibble.Models;

/// <summary>A model this engine cannot run as described: unknown type, impossible sizes, inputs that do not fit.</summary>
public sealed class ModelException(string message, Exception? inner = null) : Exception(message, inner);
