namespace Nibble.Cli;

/// <summary>What the process returns. Documented in docs/cli.md.</summary>
static class ExitCode
{
    public const int Ok = 0;
    public const int Failure = 1;
    public const int Usage = 2;
    public const int CannotFit = 3;
    public const int BadInput = 4;
    public const int VerificationFailed = 5;
    public const int Cancelled = 130;
}
