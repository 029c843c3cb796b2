namespace Nibble.Models.Layers;

/// <summary>Remembers the last value made, by the identity of its key. Threads with different keys only make it again.</summary>
sealed class Recent<TKey, TValue>(Func<TKey, TValue> make) where TKey : class where TValue : class
{
    volatile Entry? last;

    public TValue Of(TKey key)
    {
        var entry = last;
        if (entry is null || !ReferenceEquals(entry.Key, key))
            last = entry = new Entry(key, make(key));
        return entry.Value;
    }

    sealed record Entry(TKey Key, TValue Value);
}
