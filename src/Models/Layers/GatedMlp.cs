using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>y = W_down (silu(W_gate x) ⊙ W_up x). arXiv:2002.05202, SwiGLU.</summary>
sealed class GatedMlp(Weights weights, int width, int inner)
{
    readonly Linear gate = weights.Linear("gate_proj", inner, width), up = weights.Linear("up_proj", inner, width);
    readonly Linear last = weights.Linear("down_proj", width, inner);

    /// <summary>The modules below a prefix, in the order of first use.</summary>
    public static string[] Modules(string prefix) => [$"{prefix}.gate_proj", $"{prefix}.up_proj", $"{prefix}.down_proj"];

    /// <param name="x">[T, width] F32.</param>
    /// <returns>[T, inner].</returns>
    public Tensor Gate(Tensor x)
    {
        using var gated = gate.Forward(x);
        var inner = up.Forward(x);
        Ops.SwiGlu.Apply(gated, inner, inner);
        return inner;
    }

    /// <summary>Back through <see cref="Gate"/>.</summary>
    /// <param name="dy">[T, inner].</param>
    /// <returns>[T, width].</returns>
    public Tensor GateBack(Tensor x, Tensor dy, Gradient gradient)
    {
        using Tensor gated = gate.Forward(x), inner = up.Forward(x), dGated = Tensor.Empty(inner.Shape);
        Ops.SwiGluGradient.Apply(gated, inner, dy, dGated, inner);
        return up.Back(x, inner, gradient, gate.Back(x, dGated, gradient));
    }

    /// <param name="inner">[T, inner] F32.</param>
    /// <returns>[T, width].</returns>
    public Tensor Down(Tensor inner) => last.Forward(inner);

    /// <summary>Back through <see cref="Down"/>.</summary>
    public Tensor DownBack(Tensor inner, Tensor dy, Gradient gradient) => last.Back(inner, dy, gradient);
}
