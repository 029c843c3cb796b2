namespace Nibble.Cli;

/// <summary>Arguments that make no sense together. Ends in exit code 2.</summary>
sealed class UsageException(string message) : Exception(message);
