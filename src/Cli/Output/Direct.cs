namespace Nibble.Cli.Output;

/// <summary>Reports on the thread that works, in order. (<see cref="Progress{T}"/> posts them elsewhere and lets them overtake.)</summary>
sealed class Direct<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
