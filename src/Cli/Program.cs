using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using Nibble.Cli.Commands;
using Nibble.Cli.Output;
using Nibble.Export;
using Nibble.Models;
using Nibble.Quant;
using Nibble.Tensors;

namespace Nibble.Cli;

/// <summary>Parses a command line, runs one verb, and turns what went wrong into one message and an exit code.</summary>
static class Program
{
    static int Main(string[] arguments)
    {
        using var cancellation = new CancellationTokenSource();
        void Cancel(PosixSignalContext context)
        {
            context.Cancel = !cancellation.IsCancellationRequested; // a second Ctrl-C ends the process at once
            cancellation.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
        return Run(arguments, Terminal.Standard(), cancellation.Token);
    }

    /// <summary>The whole program without the process around it.</summary>
    internal static int Run(string[] arguments, Terminal terminal, CancellationToken cancellation)
    {
        var root = Root(terminal, cancellation);
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
            return Misunderstood(parsed, terminal);
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception error) when (Explain(error) is { } code)
        {
            if (code == ExitCode.Cancelled)
                terminal.Note("Cancelled. Run the same command again to continue.");
            else
                terminal.Error(error.Message);
            return code;
        }
    }

    static RootCommand Root(Terminal terminal, CancellationToken cancellation) => new(
        "Quantizes language and vision-language models after training, and runs them.")
    {
        PlanCommand.Create(terminal),
        QuantizeCommand.Create(terminal, cancellation),
        VerifyCommand.Create(terminal),
        InspectCommand.Create(terminal),
        EvalCommand.Create(terminal, cancellation),
        GenerateCommand.Create(terminal, cancellation),
        CompareCommand.Create(terminal),
        FormatsCommand.Create(terminal),
        ModelsCommand.Create(terminal),
        DoctorCommand.Create(terminal),
    };

    static int Misunderstood(ParseResult parsed, Terminal terminal)
    {
        foreach (var error in parsed.Errors.Select(error => error.Message).Distinct())
            terminal.Error(error);
        var command = parsed.CommandResult.Command;
        var known = command.Subcommands.Select(verb => verb.Name).Concat(command.Options.Select(option => option.Name)).ToList();
        foreach (var word in parsed.UnmatchedTokens)
            if (Suggestion.Nearest(word, known) is { } nearest)
                terminal.Note($"Did you mean '{nearest}'?");
        terminal.Note($"See `nibble {(command is RootCommand ? "" : command.Name + " ")}--help`.");
        return ExitCode.Usage;
    }

    /// <summary>The exit code of an expected failure; null for a defect, whose stack trace is wanted.</summary>
    static int? Explain(Exception error) => error switch
    {
        OperationCanceledException => ExitCode.Cancelled,
        UsageException => ExitCode.Usage,
        CannotFitException => ExitCode.CannotFit,
        CheckpointException or ModelException or QuantizationException or ShapeException => ExitCode.BadInput,
        FileNotFoundException or DirectoryNotFoundException => ExitCode.BadInput,
        IOException or UnauthorizedAccessException => ExitCode.Failure,
        _ => null,
    };
}
