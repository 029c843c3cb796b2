using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class ExponentialTests
{
    [Fact]
    public void Host_equals_the_definition() =>
        UnaryLaw.Holds<Exponential>(Exponential.Definition, Close.Exponential, Close.Subnormal);

    [Fact]
    public void Results_reach_from_the_smallest_subnormal_to_the_largest_number()
    {
        float[] x = [-103.2f, -95, -87.4f, 88.72f], y = new float[4];
        Lanewise.Host<Exponential>(x, y);
        Assert.Equal(float.Epsilon, y[0]);
        Assert.All(y[..3], value => Assert.True(float.IsSubnormal(value)));
        Assert.True(float.IsFinite(y[3]) && y[3] > 3.39e38f);
    }
}
