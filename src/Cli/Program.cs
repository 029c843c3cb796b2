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
    /// <summary>Verbs that stop in order when they are interrupted. The others hold nothing that could be lost and just end.</summary>
    static readonly string[] Cancellable = ["quantize", "auto", "calibrate", "eval", "generate"];

    static int Main(string[] arguments)
    {
        if (arguments is not [var verb, ..] || !Cancellable.Contains(verb))
            return Run(arguments, Terminal.Standard(), CancellationToken.None);
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
            return parsed.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = terminal.Output,
            });
        }
        catch (OperationCanceledException)
        {
            terminal.Note(parsed.CommandResult.Command.Name is "quantize" or "auto" or "calibrate"
                ? "Cancelled. The same command continues the run." : "Cancelled.");
            return ExitCode.Cancelled;
        }
        catch (Exception error) when (Explain(error) is { } code)
        {
            terminal.Error(error.Message);
            return code;
        }
        catch (Exception defect)
        {
            terminal.Error($"This is a defect of nibble {Product.Version}, please report it:\n{defect}");
            return ExitCode.Failure;
        }
    }

    static RootCommand Root(Terminal terminal, CancellationToken cancellation) => new(
        "Quantizes language and vision-language models after training, and runs them.")
    {
        PlanCommand.Create(terminal),
        QuantizeCommand.Create(terminal, cancellation),
        AutoCommand.Create(terminal, cancellation),
        CalibrateCommand.Create(terminal, cancellation),
        StatsCommand.Create(terminal),
        VerifyCommand.Create(terminal),
        InspectCommand.Create(terminal),
        EvalCommand.Create(terminal, cancellation),
        GenerateCommand.Create(terminal, cancellation),
        CompareCommand.Create(terminal),
        FormatsCommand.Create(terminal),
        AlgorithmsCommand.Create(terminal),
        ModelsCommand.Create(terminal),
        DoctorCommand.Create(terminal),
    };

    static int Misunderstood(ParseResult parsed, Terminal terminal)
    {
        var command = parsed.CommandResult.Command;
        if (parsed.UnmatchedTokens is [var word, ..]) // what follows an unknown word is unknown because of it
        {
            var known = command.Subcommands.Select(verb => verb.Name).Concat(command.Options.Select(option => option.Name));
            terminal.Error($"'{word}' is not known here{(Suggestion.Nearest(word, known) is { } nearest ? $"; did you mean '{nearest}'?" : ".")}");
        }
        else
            foreach (var error in parsed.Errors.Select(error => error.Message).Distinct())
                terminal.Error(error);
        var path = command is RootCommand ? "" : string.Concat(command.Parents.OfType<Command>().Where(parent => parent is not RootCommand)
            .Append(command).Select(part => part.Name + " "));
        terminal.Note($"See `nibble {path}--help`.");
        return ExitCode.Usage;
    }

    /// <summary>The exit code of an expected failure; null for a defect, whose stack trace is wanted.</summary>
    static int? Explain(Exception error) => error switch
    {
        UsageException => ExitCode.Usage,
        CannotFitException or InsufficientMemoryException => ExitCode.CannotFit,
        CheckpointException { InnerException: { } cause } when IsRefusal(cause) => ExitCode.Failure,
        CheckpointException or ModelException or QuantizationException or ShapeException => ExitCode.BadInput,
        FileNotFoundException or DirectoryNotFoundException => ExitCode.BadInput,
        IOException or UnauthorizedAccessException => ExitCode.Failure,
        _ => null,
    };

    /// <summary>The disk or the permissions failed, not the content of a file.</summary>
    static bool IsRefusal(Exception cause) => cause is UnauthorizedAccessException
        or (IOException and not (FileNotFoundException or DirectoryNotFoundException or EndOfStreamException));
}
