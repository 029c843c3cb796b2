using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>
/// The slope of a loss in what a pass holds between two steps: the counterpart of <see cref="Pass"/> on the way back. A tensor that is
/// replaced is released.
/// </summary>
/// <param name="observe">Told of every multiplied weight, its input and the slope of its output, which are valid during the call.</param>
public sealed class Gradient(Action<ILinearWeight, Tensor, Tensor>? observe = null) : IDisposable
{
    /// <summary>The shape of <see cref="Pass.Hidden"/>; null where the loss does not depend on it.</summary>
    public Tensor? Hidden { get; set => Replace(ref field, value); }

    /// <summary>The shape of <see cref="Pass.Input"/>.</summary>
    public Tensor? Input { get; set => Replace(ref field, value); }

    /// <summary>The shape of <see cref="Pass.ImageFeatures"/>.</summary>
    public Tensor? ImageFeatures { get; set => Replace(ref field, value); }

    /// <summary>By expert and its tokens: what the weights of <see cref="Pass.Routes"/> are worth; null where there are none.</summary>
    public float[][]? RouteWeights { get; set; }

    /// <summary>The shape of <see cref="Pass.Logits"/>.</summary>
    public Tensor? Logits { get; set => Replace(ref field, value); }

    /// <summary>Called by layers on the way back.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="dy">[rows, out].</param>
    public void Observe(ILinearWeight weight, Tensor x, Tensor dy) => observe?.Invoke(weight, x, dy);

    /// <summary>Goes back through a stage, computing once more what its steps had in between: one stage of one sample is in memory.</summary>
    /// <param name="pass">As the stage found it, and again afterwards.</param>
    /// <param name="loss">Sets the slope of what the stage leaves in the pass; null where it is known already.</param>
    /// <exception cref="ModelException">A step of the stage knows no way back.</exception>
    public void Back(IStage stage, Pass pass, Action<Pass>? loss = null)
    {
        var steps = stage.Steps;
        var states = new List<(Tensor? Hidden, Tensor? Input, Routes? Routes)> { (pass.Hidden, pass.Input, pass.Routes) };
        for (var i = 0; i < steps.Count - (loss is null ? 1 : 0); i++) // what the last one leaves only the loss asks for
        {
            steps[i].Run(pass);
            states.Add((pass.Hidden, pass.Input, pass.Routes));
        }
        loss?.Invoke(pass);
        for (var i = steps.Count - 1; i >= 0; i--)
        {
            (pass.Hidden, pass.Input, pass.Routes) = (states[i].Hidden!, states[i].Input, states[i].Routes);
            (steps[i].Back ?? throw new ModelException($"{stage.GetType().Name}: no gradient is known of its step {i + 1}."))(pass, this);
        }
        foreach (var tensor in states.SelectMany(state => (Tensor?[])[state.Hidden, state.Input]).Distinct())
            if (tensor is not null && tensor != states[0].Hidden && tensor != states[0].Input)
                tensor.Dispose();
    }

    public void Dispose() => (Hidden, Input, ImageFeatures, Logits) = (null, null, null, null);

    static void Replace(ref Tensor? field, Tensor? value)
    {
        if (!ReferenceEquals(field, value))
            field?.Dispose();
        field = value;
    }
}
