using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>y = x / sqrt(mean(x²) + ε) · weight over the last dimension.</summary>
sealed class RmsNorm(Weights weights, int width, float epsilon)
{
    readonly Tensor weight = weights.Floats("weight", width);

    /// <param name="x">[..., width] F32.</param>
    public Tensor Forward(Tensor x)
    {
        var y = Tensor.Empty(x.Shape);
        Ops.RmsNorm.Apply(x, weight, epsilon, y);
        GC.KeepAlive(this);
        return y;
    }

    /// <summary>The gradient of the input.</summary>
    /// <param name="x">[..., width] F32: what went in.</param>
    public Tensor Back(Tensor x, Tensor dy)
    {
        var dx = Tensor.Empty(x.Shape);
        Ops.RmsNormGradient.Apply(x, weight, epsilon, dy, dx);
        GC.KeepAlive(this);
        return dx;
    }
}
