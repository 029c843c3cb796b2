using Nibble.Tensors;

namespace Nibble.Quant.Runtime;

/// <summary>Modules that can be exchanged while a stage that holds them stays loaded.</summary>
sealed class ReplaceableModules(IModuleSource original) : IModuleSource
{
    readonly Dictionary<string, Weight> weights = [];
    readonly Dictionary<string, Filter> filters = [];

    public ILinearWeight Linear(string module) => weights[module] = new Weight(original.Linear(module));

    public IKeyValueFilter? KeyValues(string attention) => filters[attention] = new Filter(original.KeyValues(attention));

    /// <summary>From now on the module multiplies with this.</summary>
    public void Replace(string module, ILinearWeight weight) => weights[module].Current = weight;

    /// <summary>From now on this is done to the keys and values.</summary>
    public void Replace(string attention, IKeyValueFilter filter) => filters[attention].Current = filter;

    sealed class Weight(ILinearWeight original) : ILinearWeight
    {
        public ILinearWeight Current { get; set; } = original;

        public int Rows => Current.Rows;

        public int Columns => Current.Columns;

        public long Bytes => Current.Bytes;

        public void Decode(int row, int column, Span<float> destination) => Current.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y) => Current.Multiply(x, y);
    }

    sealed class Filter(IKeyValueFilter? original) : IKeyValueFilter
    {
        public IKeyValueFilter? Current { get; set; } = original;

        public void Apply(Tensor keys, Tensor values) => Current?.Apply(keys, values);
    }
}
