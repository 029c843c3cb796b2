using Nibble.Models;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>What the weight of a module has become just before it is rounded.</summary>
/// <param name="Matrix">[out, in], what the codes and the part of low rank stand for together.</param>
/// <param name="Rest">What is left for the codes: the same without the part of low rank.</param>
/// <param name="LowRank">What is kept beside the codes, or null.</param>
sealed record Prepared(Tensor Matrix, Tensor Rest, LowRank? LowRank, bool Owned) : IDisposable
{
    /// <summary>Releases what is not the checkpoint's. The part of low rank goes on to the sink.</summary>
    public void Dispose()
    {
        if (Owned)
            Matrix.Dispose();
        if (!ReferenceEquals(Rest, Matrix))
            Rest.Dispose();
    }
}

/// <summary>Chooses the scales of the weights of one stage and makes their codes.</summary>
sealed class WeightRounding(
    Plan plan, StageLoader stage, ITensorSource tensors, ObservedInputs inputs, StageEqualisation equalisation)
{
    readonly Dictionary<string, float> amax = [];
    readonly Dictionary<string, (float? Tensor, Tensor? Blocks)> clips = [];
    readonly Dictionary<string, LowRank> parts = [];
    readonly StoredCompensation stored = new(plan, stage, tensors, inputs);

    AlgorithmOptions Options => plan.Recipe.Options;

    /// <summary>What must be known of the inputs of a module.</summary>
    public static StatisticNeeds Needs(Recipe recipe, PlannedModule module)
    {
        var scheme = module.Scheme!;
        if (!Suitability.Suits(recipe, scheme))
            return StatisticNeeds.None;
        return recipe.Algorithm switch
        {
            Algorithm.SmoothQuant => new StatisticNeeds(Channels: true, Rows: recipe.Options.SmoothQuantAlpha is null),
            Algorithm.SvdQuant => new StatisticNeeds(Awq: true),
            Algorithm.Awq when scheme.Weight is Int4 && recipe.Options.Awq != AwqMode.Lite => new StatisticNeeds(
                Awq: recipe.Options.Awq == AwqMode.Full, MomentBlock: scheme.Weight.Group, SampledTokens: AwqClip.SampledTokens),
            Algorithm.Awq => new StatisticNeeds(Awq: true),
            Algorithm.Gptq => new StatisticNeeds(Moments: true),
            Algorithm.Max when recipe.Options.Scales == ScaleChoice.LocalHessian => new StatisticNeeds(MomentBlock: NvFp4.BlockSize),
            Algorithm.Max when recipe.Options.Scales == ScaleChoice.Importance => new StatisticNeeds(MomentBlock: 1),
            _ => StatisticNeeds.None,
        };
    }

    /// <summary>
    /// The same in the pass before, where the samples run twice (<see cref="Plan.SeesRounding"/>): ModelOpt's AWQ takes magnitudes from
    /// the first pass and losses from the second.
    /// </summary>
    public static StatisticNeeds NeedsBefore(Recipe recipe, PlannedModule module) =>
        Needs(recipe, module).Awq ? new StatisticNeeds(Magnitudes: true) : StatisticNeeds.None;

    /// <summary>Memory for what is known of the inputs of a module, and for its weight as it is changed and tried.</summary>
    public static long Bytes(Recipe recipe, PlannedModule module)
    {
        var needs = Needs(recipe, module);
        var copies = module.LowRank > 0 ? 4 + module.Group.Count : needs.Awq || needs.Channels ? 4 : needs.MomentBlock > 0 ? 2 : 0;
        return needs.Bytes(module.Columns) + (long)copies * module.Rows * module.Columns * sizeof(float);
    }

    /// <summary>The weight with magnitude moved and a part of low rank taken off, where the plan says so.</summary>
    public Prepared Prepare(PlannedModule module)
    {
        var matrix = StageEqualisation.Has(module) ? equalisation.Matrix(module) : tensors.Load(module.Weight.Name);
        if (module.LowRank == 0)
            return new Prepared(matrix, matrix, null, StageEqualisation.Has(module));
        var part = Part(module);
        return new Prepared(matrix, SvdQuant.Residual(matrix, part), part, Owned: true);
    }

    /// <summary>The codes of what <see cref="Prepare"/> gave.</summary>
    /// <param name="notes">Takes what is worth saying.</param>
    public QuantizedWeight Round(PlannedModule module, Tensor rest, ICollection<string> notes)
    {
        if (plan.Recipe.Algorithm == Algorithm.Gptq)
            return Compensated(module, notes);
        var format = module.Scheme!.Weight;
        float? shared = format.HasTensorScale ? SharedAmax(module) : null;
        if (Clip(module) is { Blocks: { } ranges })
            return RangedWeight.Quantize(rest, format, ranges);
        if (SharesOneBlock(module))
            return RangedWeight.Quantize(rest, format, Filled(rest.Rows, GroupAmax(module)));
        if (plan.Recipe.Algorithm != Algorithm.Max || Options.Scales == ScaleChoice.Standard)
            return WeightQuantizer.Quantize(rest, format, shared, module.Weight.Name);
        if (Suitability.Suits(Options.Scales, format))
            return Searched(module, rest, shared, notes);
        notes.Add($"scales {Words.Of(Options.Scales)} does not apply to {format}");
        return WeightQuantizer.Quantize(rest, format, shared, module.Weight.Name);
    }

    /// <summary>The largest magnitude of a stored weight.</summary>
    /// <exception cref="QuantizationException">It is NaN or infinite.</exception>
    public float StoredAmax(string weight) => amax.TryGetValue(weight, out var known) ? known
        : amax[weight] = WeightQuantizer.AbsMax(tensors.Load(weight), weight);

    QuantizedWeight Compensated(PlannedModule module, ICollection<string> notes)
    {
        var result = stored.Take(module);
        notes.Add("moments of the original model's inputs");
        foreach (var note in result.Notes)
            notes.Add(note);
        return result.Weight;
    }

    QuantizedWeight Searched(PlannedModule module, Tensor weight, float? shared, ICollection<string> notes)
    {
        var format = module.Scheme!.Weight;
        var blocks = inputs.Layers.GetValueOrDefault(module.Name)?.Blocks;
        var choice = Options.Scales;
        if (choice is ScaleChoice.LocalHessian or ScaleChoice.Importance && blocks is null)
        {
            notes.Add("no token reached it, so all inputs count alike");
            choice = format is NvFp4 ? ScaleChoice.Sweep : ScaleChoice.Mse;
        }
        return choice switch
        {
            ScaleChoice.Sweep => NvFp4ScaleSearch.Sweep(weight, shared).Quantize(weight),
            ScaleChoice.FourOverSix => NvFp4ScaleSearch.FourOverSix(weight, shared).Quantize(weight),
            ScaleChoice.LocalHessian => NvFp4ScaleSearch.LocalHessian(weight, blocks!, shared).Quantize(weight),
            ScaleChoice.Importance when format is NvFp4 =>
                NvFp4ScaleSearch.Importance(weight, MeanSquares(blocks!), shared).Quantize(weight),
            ScaleChoice.Importance => Ranged(module, weight, MeanSquares(blocks!)),
            _ => Ranged(module, weight, []),
        };
    }

    static QuantizedWeight Ranged(PlannedModule module, Tensor weight, float[] importance)
    {
        var format = module.Scheme!.Weight;
        using var ranges = WeightAmaxSearch.Search(weight, format, importance: importance);
        return format.HasTensorScale
            ? WeightQuantizer.Quantize(weight, format, ranges.Span<float>()[0], module.Weight.Name)
            : RangedWeight.Quantize(weight, format, ranges);
    }

    /// <summary>In proportion to the mean square of every channel, the largest being 1.</summary>
    static float[] MeanSquares(Calibration.Calibrators.BlockMoments moments)
    {
        var squares = Enumerable.Range(0, moments.Blocks).Select(channel => moments.Of(channel)[0]).ToList();
        var largest = squares.Max();
        return [.. squares.Select(square => largest > 0 ? (float)(square / largest) : 1)];
    }

    /// <summary>The largest magnitude of the weight, or of all weights it is fused with where runtimes want one scale for them.</summary>
    float SharedAmax(PlannedModule module) =>
        plan.Recipe.Algorithm == Algorithm.Rtn
            || !module.Scheme!.Weight.FusedModulesShareScale && stage.SharingWeight(module.Name).Count == 1 ? AmaxOf(module)
            : GroupAmax(module);

    float GroupAmax(PlannedModule module) => Fused(module).Max(AmaxOf);

    IEnumerable<PlannedModule> Fused(PlannedModule module) =>
        plan.Modules.Where(other => module.Group.Contains(other.Name) && other.Scheme is not null);

    /// <summary>
    /// Whether a module and those it is fused with are one block of the format each: then ModelOpt takes their scales for those of whole
    /// matrices, which agree. Not so gate and up of an expert, whose scales keep the shape of blocks.
    /// </summary>
    bool SharesOneBlock(PlannedModule module) => plan.Recipe.Algorithm == Algorithm.Max && module.Group.Count > 1
        && module.Scheme!.Weight is Fp8Blocks && stage.SharingInput(module.Name).Count == 1 && Fused(module).All(other => other.Scheme!.Weight.HasOneScale(other.Rows, other.Columns));

    static Tensor Filled(int rows, float amax)
    {
        var ranges = Tensor.Empty(rows, 1);
        ranges.Span<float>().Fill(amax);
        return ranges;
    }

    float AmaxOf(PlannedModule module)
    {
        if (Clip(module) is { Tensor: { } clipped })
            return clipped;
        if (!StageEqualisation.Has(module))
            return StoredAmax(module.Weight.Name);
        if (amax.TryGetValue(module.Name, out var known))
            return known;
        using var prepared = Prepare(module);
        prepared.LowRank?.Down.Dispose();
        prepared.LowRank?.Up.Dispose();
        return amax[module.Name] = WeightQuantizer.AbsMax(prepared.Rest, module.Weight.Name);
    }

    /// <summary>
    /// What AWQ clips: ranges of blocks, or the one of the matrix. As in ModelOpt nothing is clipped where the weight was made anew
    /// after the search, to share factors with other modules or to take those of a later one, nor where E4M3 follows INT4.
    /// </summary>
    (float? Tensor, Tensor? Blocks) Clip(PlannedModule module)
    {
        if (plan.Recipe.Algorithm != Algorithm.Awq || Options.Awq == AwqMode.Lite || module.Scheme!.Weight is Int4Fp8
            || !Suitability.Suits(plan.Recipe, module.Scheme)
            || StageEqualisation.Has(module) && equalisation.IsRemade(module))
            return default;
        return clips.TryGetValue(module.Name, out var known) ? known : clips[module.Name] = SearchClip(module);
    }

    (float? Tensor, Tensor? Blocks) SearchClip(PlannedModule module)
    {
        var statistics = inputs.Layers.GetValueOrDefault(module.Name);
        var factors = StageEqualisation.Has(module) ? equalisation.Own(module).Inputs : [];
        using var prepared = Prepare(module);
        if (module.Scheme!.Weight is Int4 format)
            return statistics?.Blocks is { } blocks
                ? (null, AwqClip.PerBlock(prepared.Matrix, format, blocks, factors).Ranges) : default;
        return statistics?.Awq is { Calls: > 0 } seen
            ? (AwqClip.PerTensor(prepared.Matrix, module.Scheme.Weight, seen, factors).Range, null) : default;
    }

    /// <summary>
    /// The module's share of the low rank: of all modules with this input together, so that they have one A. A copy, for it is
    /// released once it is written.
    /// </summary>
    LowRank Part(PlannedModule module)
    {
        if (!parts.TryGetValue(module.Name, out var part))
        {
            Decompose([.. equalisation.Members(module)]);
            part = parts[module.Name];
        }
        return new LowRank(part.Down.Clone(), part.Up.Clone());
    }

    void Decompose(IReadOnlyList<PlannedModule> members)
    {
        var type = members[0].Weight.DType;
        using var all = Tensor.Empty(members.Sum(member => member.Rows), members[0].Columns);
        var row = 0;
        foreach (var member in members)
        {
            using var matrix = equalisation.Matrix(member);
            matrix.Span<float>().CopyTo(all.Slice(row, member.Rows).Span<float>());
            GC.KeepAlive(matrix);
            row += member.Rows;
        }
        var part = SvdQuant.Decompose(all, members[0].LowRank);
        var down = Rounded(part.Down, type);
        row = 0;
        foreach (var member in members)
        {
            parts[member.Name] = new LowRank(down, Rounded(part.Up.Slice(row, member.Rows), type));
            row += member.Rows;
        }
    }

    static Tensor Rounded(Tensor part, DType type)
    {
        var rounded = Tensor.Empty(part.Shape);
        Narrow.Round(part.Span<float>(), type).CopyTo(rounded.Span<float>());
        GC.KeepAlive(part);
        GC.KeepAlive(rounded);
        return rounded;
    }
}
