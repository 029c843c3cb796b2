using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>The part of a network a module belongs to.</summary>
public enum Scope
{
    Language,
    Projector,
    Vision,
}

/// <summary>
/// One step of a network, holding the weights of that step only. Running a network is running its stages in order;
/// running a network larger than memory is loading one stage, running every sample through it, and dropping it.
/// </summary>
public interface IStage
{
    /// <summary>
    /// Advances one sample: reads tensors of the pass and puts new ones in their place. The tensors it finds are neither written
    /// to nor released, so a caller may keep <see cref="Pass.Hidden"/> and run a stage from it again. Does nothing where
    /// the sample has no use for the stage: vision stages without pictures. Safe to call for several passes at once.
    /// </summary>
    void Forward(Pass pass);
}

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
    Func<Weights, IStage> Load);

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
