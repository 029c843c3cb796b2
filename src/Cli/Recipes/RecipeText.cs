using System.Text;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Recipes;

/// <summary>A recipe as the YAML that <see cref="RecipeFile"/> reads.</summary>
static class RecipeText
{
    public static string Write(Recipe recipe, string remark)
    {
        var text = new StringBuilder($"# {remark}\nalgorithm: {recipe.Algorithm.Entry().Name}\n");
        if (recipe.Rotation != Rotation.None)
            text.Append($"rotation: {Words.Of(recipe.Rotation)}\n");
        if (recipe.KeyValues is { } cache)
            text.Append($"kv: {cache.Name}\n");
        text.Append("rules:\n");
        foreach (var rule in recipe.Rules.Where(rule => rule.Scheme is not null || !Recipe.NeverByDefault.Contains(rule.Modules.Pattern)))
            text.Append("  - {").Append(rule.Scope is { } scope ? $" scope: {scope.ToString().ToLowerInvariant()}," : "")
                .Append(rule.Modules.Pattern == "*" ? "" : $" modules: '{rule.Modules.Pattern.Replace("'", "''")}',")
                .Append($" format: {rule.Scheme?.Name ?? "skip"} }}\n");
        return text.ToString();
    }
}
