using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Host;

/// <summary>A stored element type that loads as F32.</summary>
unsafe interface IElement<T> where T : unmanaged
{
    static abstract float Load(T* source);

    static abstract V Load<L, V>(T* source) where L : struct, ILanes<V> where V : struct;
}

readonly unsafe struct F32Element : IElement<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(float* source) => *source;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<L, V>(float* source) where L : struct, ILanes<V> where V : struct => L.Load(source);
}

readonly unsafe struct BF16Element : IElement<ushort>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(ushort* source) => Convert.BF16ToSingle(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<L, V>(ushort* source) where L : struct, ILanes<V> where V : struct => L.LoadBF16(source);
}

readonly unsafe struct F16Element : IElement<ushort>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(ushort* source) => (float)BitConverter.UInt16BitsToHalf(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<L, V>(ushort* source) where L : struct, ILanes<V> where V : struct => L.LoadF16(source);
}
