using System.Globalization;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Recipes;

/// <summary>The algorithm and its settings as they were asked for, word by word, in options or in a recipe file.</summary>
sealed class AlgorithmSettings
{
    readonly List<Func<AlgorithmOptions, AlgorithmOptions>> settings = [];
    readonly List<FormatPreset> formats = [];
    Algorithm? algorithm;
    Quality? quality;
    ActivationRange? range;
    Rotation? rotation;

    /// <summary>Names in recipe files and what they say; options have <c>--</c> before and <c>-</c> for <c>_</c>.</summary>
    public static IReadOnlyList<(string Name, string Description)> Known { get; } =
    [
        ("algorithm", "How the numbers are chosen: max (default), rtn, awq, gptq, best, …; see `nibble algorithms`."),
        ("preset", "An algorithm by what it costs: fast, balanced or best."),
        ("scales", "Scales of weights with algorithm max: " + string.Join(", ", Words.All<ScaleChoice>()) + "."),
        ("awq", "Which halves of AWQ: lite (scale channels, default), clip, full (both)."),
        ("awq_step", "Between two α of the AWQ search, 0.1 by default."),
        ("smoothquant_alpha", "How much of the range SmoothQuant moves into the weights: 1 (default) to 0, or auto."),
        ("range", "Range of static activation scales: max (default), percentile:99.99, entropy, mse, headroom."),
        ("rank", "Of the part SVDQuant keeps unquantized, 32 by default."),
        (RotationName, "Turn the language model's weights first so that no channel stands out: none (default), hadamard. Any runtime loads it."),
    ];

    /// <summary>What the setting is called that is not only for quantizing, but for all that is done to a model.</summary>
    public const string RotationName = "rotation";

    /// <summary>What an option is called.</summary>
    public static string Option(string name) => "--" + name.Replace('_', '-');

    /// <exception cref="UsageException">The value makes no sense.</exception>
    public void Set(string name, string value)
    {
        switch (name)
        {
            case "algorithm": algorithm = RecipeWords.ParseAlgorithm(value); break;
            case RotationName: rotation = ParseRotation(value); break;
            case "range": range = RecipeWords.ParseRange(value); break;
            case "preset": quality = Word<Quality>(name, value); break;
            case "scales": Add(Word<ScaleChoice>(name, value), (options, scales) => options with { Scales = scales }); break;
            case "awq": Add(Word<AwqMode>(name, value), (options, mode) => options with { Awq = mode }); break;
            case "awq_step": Add(Number(name, value), (options, step) => options with { AwqStep = step }); break;
            case "rank": Add(Whole(name, value), (options, rank) => options with { Rank = rank }); break;
            case "smoothquant_alpha":
                Add(value == "auto" ? (float?)null : (float)Number(name, value), (options, alpha) => options with { SmoothQuantAlpha = alpha });
                break;
            default: throw new ArgumentException($"no setting {name}", nameof(name));
        }
    }

    /// <summary>Takes the algorithm a format name stands for too.</summary>
    public void Take(FormatPreset preset) => formats.Add(preset);

    /// <summary>The recipe with this algorithm.</summary>
    /// <exception cref="UsageException">Two words contradict each other.</exception>
    public Recipe On(Recipe recipe)
    {
        var format = formats.FirstOrDefault();
        if (formats.Find(other => (other.Algorithm, other.Options, other.Range) != (format!.Algorithm, format.Options, format.Range)) is { } another)
            throw new UsageException(
                $"--format {another.Name} is {another.Description} and {format!.Name} is {format.Description}; a recipe has one algorithm.");
        if (algorithm is not null && quality is not null)
            throw new UsageException("--preset and --algorithm exclude each other.");
        if (format is not null && quality is not null)
            throw new UsageException($"--format {format.Name} is {format.Description}; --preset excludes it.");
        if (format is not null && algorithm is { } asked && asked != format.Algorithm)
            throw new UsageException($"--format {format.Name} is {format.Description}; --algorithm {asked.Entry().Name} contradicts it.");
        var schemes = recipe.Rules.Select(rule => rule.Scheme).OfType<Scheme>().ToList();
        return recipe with
        {
            Algorithm = algorithm ?? format?.Algorithm ?? (quality is { } level ? Qualities.Choose(level, schemes) : Algorithm.Max),
            Rotation = rotation ?? Rotation.None,
            Range = range ?? format?.Range ?? ActivationRange.Max,
            Options = settings.Aggregate(format?.Options ?? AlgorithmOptions.Default, (options, setting) => setting(options)),
        };
    }

    /// <exception cref="UsageException">There is no such rotation.</exception>
    public static Rotation ParseRotation(string value) => Word<Rotation>(RotationName, value);

    void Add<T>(T value, Func<AlgorithmOptions, T, AlgorithmOptions> set) => settings.Add(options => set(options, value));

    static T Word<T>(string name, string value) where T : struct, Enum => Words.Find<T>(value)
        ?? throw new UsageException($"{Option(name)} {value}: unknown; {Suggestion.For(value, Words.All<T>())}");

    static double Number(string name, string value) =>
        double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number
            : throw new UsageException($"{Option(name)} {value}: a number expected.");

    static int Whole(string name, string value) => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
        : throw new UsageException($"{Option(name)} {value}: a whole number expected.");
}
