using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>The part of a network a module belongs to.</summary>
public enum Scope
{
    Language,
    Projector,
    Vision,
}

/// <summary>Rows that some linear modules are about to be multiplied with.</summary>
/// <param name="X">[rows, in] F32. Where <paramref name="Tokens"/> is given it was made for the caller, who releases it.</param>
/// <param name="Tokens">Which token of the pass each row is; null: all of them in order.</param>
public readonly record struct InputRows(Tensor X, int[]? Tokens = null);

/// <summary>Modules that are multiplied with the same rows.</summary>
/// <param name="Rows">The rows, before the step that multiplies them; null where the sample has no use for the modules.</param>
public sealed record InputGroup(IReadOnlyList<string> Modules, Func<Pass, InputRows?> Rows)
{
    /// <summary>Modules whose rows are all of <see cref="Pass.Input"/>.</summary>
    public static InputGroup OfInput(params IReadOnlyList<string> modules) =>
        new(modules, pass => pass.Input is { } input ? new InputRows(input) : null);
}

/// <summary>
/// A stretch of a stage: multiplies the modules whose inputs are ready, and goes on until the inputs of the next ones are. Like a stage
/// it leaves the tensors it finds alone: whoever runs it releases those it replaced.
/// </summary>
/// <param name="Inputs">What <paramref name="Run"/> multiplies, and with what.</param>
/// <param name="Back">
/// Turns the gradient of what <paramref name="Run"/> leaves into that of what it found; the pass is as it was found. Null where none is
/// known.
/// </param>
public sealed record Step(IReadOnlyList<InputGroup> Inputs, Action<Pass> Run, Action<Pass, Gradient>? Back = null)
{
    /// <summary>Runs it and releases the tensors it replaced.</summary>
    public void Advance(Pass pass)
    {
        var (hidden, input) = (pass.Hidden, pass.Input);
        Run(pass);
        if (!ReferenceEquals(hidden, pass.Hidden))
            hidden?.Dispose();
        if (!ReferenceEquals(input, pass.Input))
            input?.Dispose();
    }
}

/// <summary>
/// One part of a network, holding the weights of that part only. Running a network is running its stages in order;
/// running a network larger than memory is loading one stage, running every sample through it, and dropping it.
/// </summary>
public interface IStage
{
    /// <summary>
    /// The stage cut before every group of modules. Between two steps all there is of a sample is <see cref="Pass.Hidden"/>,
    /// <see cref="Pass.Input"/> and <see cref="Pass.Routes"/>.
    /// </summary>
    IReadOnlyList<Step> Steps { get; }

    /// <summary>
    /// Advances one sample: reads tensors of the pass and puts new ones in their place. The tensors it finds are neither written
    /// to nor released, so a caller may keep <see cref="Pass.Hidden"/> and run a stage from it again. Does nothing where
    /// the sample has no use for the stage: vision stages without pictures. Safe to call for several passes at once.
    /// </summary>
    void Forward(Pass pass)
    {
        var found = pass.Hidden;
        foreach (var step in Steps)
        {
            var (hidden, input) = (pass.Hidden, pass.Input);
            step.Run(pass);
            if (!ReferenceEquals(hidden, pass.Hidden) && !ReferenceEquals(hidden, found))
                hidden.Dispose();
            if (!ReferenceEquals(input, pass.Input))
                input?.Dispose();
        }
    }
}

/// <summary>
/// Where the input of some modules comes from, so that factors of its channels can be moved there: the output of a norm times its
/// weight, or in proportion, channel by channel, to the outputs of a linear module.
/// </summary>
/// <param name="Modules">All modules with this input.</param>
/// <param name="NormWeight">The weight tensor of a norm of which nothing else takes the output; null where there is none.</param>
/// <param name="Producer">The linear module, for instance <c>up_proj</c> of <c>down_proj</c>; null where there is none.</param>
public sealed record InputSource(IReadOnlyList<string> Modules, string? NormWeight = null, string? Producer = null);

/// <summary>A stage that is not loaded yet.</summary>
/// <param name="Name">The checkpoint's prefix of the stage, for instance <c>model.layers.3</c> or <c>visual.merger</c>.</param>
/// <param name="Modules">Full names of the <c>Linear</c> modules the stage loads, in the order of first use.</param>
/// <param name="Groups">Modules that are multiplied with the same input and that runtimes fuse: q/k/v, gate/up.</param>
/// <param name="Attentions">Full names of the attention modules whose keys and values are cached; none in vision.</param>
/// <param name="Load">Reads the weights below the root of a checkpoint.</param>
public sealed record StageLoader(
    string Name,
    Scope Scope,
    IReadOnlyList<string> Modules,
    IReadOnlyList<IReadOnlyList<string>> Groups,
    IReadOnlyList<string> Attentions,
    Func<Weights, IStage> Load)
{
    /// <summary>Inputs whose channels can be scaled where they come from; a module that is not among them keeps its factors.</summary>
    public IReadOnlyList<InputSource> Sources { get; init; } = [];

    /// <summary>What the stage reads from the residual stream and adds to it; null where it does not meet it, or nothing is known.</summary>
    public ResidualUse? Residual { get; init; }

    /// <summary>
    /// Modules whose inputs get one scale, because runtimes multiply them with the rows of the same tensor: all first modules of a
    /// layer's experts, and all last ones. A module in none has its own, or that of its group.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<string>> SharedInputs { get; init; } = [];

    /// <summary>Modules that are one matrix to runtimes, so that their weights have one scale in every format with a scale of the whole.</summary>
    public IReadOnlyList<IReadOnlyList<string>> SharedWeights { get; init; } = [];

    /// <summary>The modules whose inputs have one scale with those of this one, itself included.</summary>
    public IReadOnlyList<string> SharingInput(string module) => Containing(SharedInputs, module);

    /// <summary>The modules whose weights have one scale with this one in every format, itself included.</summary>
    public IReadOnlyList<string> SharingWeight(string module) => Containing(SharedWeights, module);

    static IReadOnlyList<string> Containing(IReadOnlyList<IReadOnlyList<string>> groups, string module) =>
        groups.FirstOrDefault(members => members.Contains(module)) ?? [module];
}

/// <summary>A network as published, cut into stages. It has no weights and can be loaded from several sources.</summary>
public interface INetwork
{
    /// <summary>The checkpoint's <c>model_type</c>.</summary>
    string ModelType { get; }

    int VocabularySize { get; }

    /// <summary>All stages in running order: vision, projector, embedding, decoder blocks, head.</summary>
    IReadOnlyList<StageLoader> Stages { get; }

    /// <summary>The stages a decoding step runs: those of the language scope.</summary>
    IReadOnlyList<StageLoader> LanguageStages { get; }

    /// <summary>Checks a sample against the configuration, computes its positions, and begins a pass over it.</summary>
    /// <param name="sample">At least one token; the whole sequence, or what follows the tokens in the cache.</param>
    /// <param name="cache">Its <see cref="KvCache.NextPosition"/> is moved on by this call, its layers by the stages.</param>
    /// <exception cref="ModelException">A token is out of range, or the pictures do not match the placeholders.</exception>
    Pass Begin(Sample sample, KvCache? cache = null);

    /// <summary>A cache for one sequence with room for this many tokens to begin with.</summary>
    KvCache NewCache(int capacity = 0);

    /// <summary>
    /// Whether the cached keys stay right when this many tokens follow. False where the frequencies of the rotary embedding
    /// depend on the length (dynamic, longrope) and change at this step: the sequence then has to be computed anew.
    /// </summary>
    bool CanContinue(KvCache cache, int tokens);
}
