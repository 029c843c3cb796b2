using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>The grid of INT4 beside FP8 activations: what a code and its scale make is rounded to E4M3 under the scale of the matrix.</summary>
sealed class Int4Fp8Grid(Int4Fp8 format) : Grid
{
    readonly UniformGrid codes = UniformGrid.Signed(format.Group, -8, 7);

    public override int Candidates => codes.Candidates;

    public override double SearchPower => codes.SearchPower;

    public override int GroupOf(int columns) => codes.GroupOf(columns);

    public override float TensorScale(double amax, bool searched) => format.TensorScale((float)amax);

    public override GroupScale Standard(WeightRange range, float tensorScale) => codes.Standard(range, 1) with { Tensor = tensorScale };

    public override GroupScale Candidate(WeightRange range, float tensorScale, int index) =>
        codes.Candidate(range, 1, index) with { Tensor = tensorScale };

    public override int Code(double weight, in GroupScale scale) => codes.Code(weight, scale);

    public override double Value(int code, in GroupScale scale) =>
        (double)Float8.FromE4M3(Float8.ToE4M3((float)codes.Value(code, scale) / scale.Tensor)) * scale.Tensor;

    public override int FromByte(byte code) => codes.FromByte(code);

    public override void Round(ReadOnlySpan<float> weights, in GroupScale scale, Span<float> rounded)
    {
        codes.Round(weights, scale, rounded);
        Float8.RoundE4M3(rounded[..weights.Length], scale.Tensor);
    }
}
