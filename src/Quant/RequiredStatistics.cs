using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;

namespace Nibble.Quant;

/// <summary>What a plan has to know of inputs and caches.</summary>
public static class RequiredStatistics
{
    /// <summary>What the inputs of a module are watched for besides tokens and the largest magnitude.</summary>
    public static StatisticNeeds Of(Recipe recipe, PlannedModule module) =>
        WeightRounding.Needs(recipe, module) | (module.Scheme is { NeedsData: true } ? recipe.Range.Needs : StatisticNeeds.None);

    /// <summary>Why statistics do not do for a plan; names module and statistic.</summary>
    public static IEnumerable<string> Missing(Plan plan, StoredStatistics stored)
    {
        if (Refuse(plan.Recipe, plan.SeesRoundedInputs) is { } reason)
        {
            yield return reason;
            yield break;
        }
        foreach (var module in plan.Quantized)
        {
            var needs = Of(plan.Recipe, module);
            if (!module.Scheme!.NeedsData && needs == StatisticNeeds.None)
                continue;
            if (stored.GroupOf(module.Name) is not { } group)
                yield return $"{stored.Origin}: nothing is known of the inputs of {module.Name}.";
            else if (group.Width != module.Columns)
                yield return $"{stored.Origin}: {module.Name} has {group.Width} inputs there and {module.Columns} in the model.";
            else if (group.Needs.Missing(needs).ToList() is { Count: > 0 } missing)
                yield return $"{stored.Origin}: {module.Name}: {string.Join(", ", missing)} of its inputs were not gathered.";
        }
        foreach (var attention in plan.Attentions.Where(attention => !stored.Info.Caches.Contains(attention)))
            yield return $"{stored.Origin}: nothing is known of the keys and values of {attention}.";
    }

    /// <summary>Why no statistics do for a recipe, whatever they are; null where some do.</summary>
    /// <param name="seesRoundedInputs">See <see cref="Plan.SeesRoundedInputs"/>.</param>
    public static string? Refuse(Recipe recipe, bool seesRoundedInputs) =>
        recipe.Algorithm.IsSequential() && recipe.Algorithm != Algorithm.Gptq
            ? $"The algorithm {recipe.Algorithm.Entry().Name} looks at the inputs of every module after those before it were quantized; " +
                "that takes data (--calibration), statistics are not enough."
        : seesRoundedInputs
            ? $"The scales {Words.Of(recipe.Options.Scales)} look at inputs after those of the modules before were rounded; " +
                "that takes data (--calibration), statistics are not enough."
        : null;

    /// <summary>Reads every statistic a plan needs once, so that a damaged one is known before anything is written.</summary>
    /// <exception cref="QuantizationException">A tensor is not what it should be; names file and module.</exception>
    public static void Check(Plan plan, StoredStatistics stored)
    {
        foreach (var group in plan.Quantized.Select(module => stored.GroupOf(module.Name)).OfType<StatisticsGroup>().Distinct())
            stored.Inputs(group, keptRows: 0)?.Dispose();
        foreach (var attention in plan.Attentions)
            stored.Cache(attention);
    }
}
