using Nibble.Tensors;

namespace Nibble.Tests.Models;

/// <summary>
/// How far a float32 network may be from a recorded float32 network. Both are that far from the same network in float64, where
/// the recordings were measured: at most 5.5e-5 for language models, 6.6e-6 for vision towers, 4.7e-5 for hidden states and
/// 3.7e-5 for logits behind a vision tower. The bounds are 4 to 15 times that, and far below what any mistake does (0.1 and more).
/// </summary>
static class Near
{
    public const float Text = 3e-4f, Vision = 1e-4f, VisionHidden = 2e-4f, VisionLogits = 5e-4f;

    /// <summary>Routers are recorded within 1.2e-5, weights of experts within 4e-6, and the experts themselves are the same ones.</summary>
    public const float Router = 1e-4f;

    /// <summary>What a tensor of a language model is held to, by its name in <see cref="Nibble.Models.Observed"/>.</summary>
    public static float Of(string name) => name.EndsWith(".experts", StringComparison.Ordinal) ? 0
        : name.Contains("router", StringComparison.Ordinal) || name.Contains("expert", StringComparison.Ordinal) ? Router
        : Text;

    public static void Assert(Tensor expected, Tensor actual, float absolute, string name)
    {
        if (actual.Rows != expected.Rows || actual.Columns != expected.Columns)
            Xunit.Assert.Fail($"{name}: expected {expected}, got {actual}.");
        var (worst, row, column) = (0f, 0, 0);
        for (var r = 0; r < expected.Rows; r++)
            for (var c = 0; c < expected.Columns; c++)
            {
                var difference = MathF.Abs(expected.Row(r)[c] - actual.Row(r)[c]);
                if (!(difference <= worst))
                    (worst, row, column) = (difference, r, c);
            }
        if (!(worst <= absolute))
            Xunit.Assert.Fail($"{name}: row {row}, column {column}: expected {expected.Row(row)[column]}, " +
                $"got {actual.Row(row)[column]}; differs by {worst:g3}, allowed {absolute:g3}.");
    }
}
