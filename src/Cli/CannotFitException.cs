namespace Nibble.Cli;

/// <summary>A plan that this machine cannot carry out. Ends in exit code 3.</summary>
sealed class CannotFitException(string message) : Exception(message);
