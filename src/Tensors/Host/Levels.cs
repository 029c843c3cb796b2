using System.Runtime.Intrinsics;

namespace Nibble.Tensors.Host;

/// <summary>Work written once for every register width.</summary>
interface ILevelWork
{
    void Run<L, V>() where L : struct, ILanes<V> where V : struct;
}

/// <summary>From a level to the code compiled for it. The one switch over levels.</summary>
static class Levels
{
    public static void Run<TWork>(CpuLevel level, TWork work) where TWork : struct, ILevelWork
    {
        switch (level)
        {
            case CpuLevel.Avx512:
                work.Run<Lanes512, Vector512<float>>();
                break;
            case CpuLevel.Avx2:
                work.Run<Lanes256, Vector256<float>>();
                break;
            default:
                work.Run<Lanes128, Vector128<float>>();
                break;
        }
    }
}
