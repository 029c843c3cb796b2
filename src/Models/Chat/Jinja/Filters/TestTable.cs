using System.Collections.Frozen;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>What may stand behind <c>is</c>.</summary>
/// <remarks>Left out of Jinja's: escaped, because nothing here escapes by itself.</remarks>
static class TestTable
{
    delegate bool Test(Value input, Arguments arguments);

    static readonly FrozenDictionary<string, Test> Tests = new Dictionary<string, Test>
    {
        ["boolean"] = Of(value => value is Bool),
        ["callable"] = Of(value => value.IsCallable),
        ["defined"] = Of(value => value is not Undefined),
        ["undefined"] = Of(value => value is Undefined),
        ["divisibleby"] = (value, a) => IsZero(Rest(value, a.Bind(1, "num")[0]!, a)),
        ["even"] = (value, a) => a.Bind(0) is [] && IsZero(Rest(value, new Integer(2), a)),
        ["odd"] = (value, a) => a.Bind(0) is [] && Equality.Of(Rest(value, new Integer(2), a), new Integer(1), a.Budget),
        ["false"] = Of(value => value == Bool.False),
        ["true"] = Of(value => value == Bool.True),
        ["none"] = Of(value => value is None),
        ["filter"] = (value, a) => a.Bind(0) is [] && value is Text name && FilterTable.Contains(name.Value),
        ["test"] = (value, a) => a.Bind(0) is [] && value is Text name && Contains(name.Value),
        ["float"] = Of(value => value is Float),
        ["integer"] = Of(value => value is Integer),
        ["number"] = Of(Number.Is),
        ["string"] = Of(value => value is Text),
        ["mapping"] = Of(value => value is DictValue),
        ["iterable"] = Of(value => value.Items is not null),
        ["sequence"] = Of(value => value is Text or Sequence or DictValue or RangeValue or Undefined),
        ["lower"] = (value, a) => a.Bind(0) is [] && StringMethods.IsLower(value.Str(a.Budget)),
        ["upper"] = (value, a) => a.Bind(0) is [] && StringMethods.IsUpper(value.Str(a.Budget)),
        ["in"] = (value, a) => Membership.Contains(a.Bind(1, "seq")[0]!, value, a.Budget),
        ["sameas"] = (value, a) => IsSame(value, a.Bind(1, "other")[0]!, a.Budget),
        ["eq"] = Equal,
        ["equalto"] = Equal,
        ["=="] = Equal,
        ["ne"] = Different,
        ["!="] = Different,
        ["lt"] = Ordered("<"),
        ["lessthan"] = Ordered("<"),
        ["<"] = Ordered("<"),
        ["le"] = Ordered("<="),
        ["<="] = Ordered("<="),
        ["gt"] = Ordered(">"),
        ["greaterthan"] = Ordered(">"),
        [">"] = Ordered(">"),
        ["ge"] = Ordered(">="),
        [">="] = Ordered(">="),
    }.ToFrozenDictionary();

    public static bool Contains(string name) => Tests.ContainsKey(name);

    public static bool Holds(string name, Value input, Arguments arguments) => Tests.TryGetValue(name, out var test)
        ? test(input, arguments)
        : throw new TemplateFault($"No test named '{name}'.");

    static Test Of(Func<Value, bool> holds) => (value, arguments) => arguments.Bind(0) is [] && holds(value);

    static Test Ordered(string op) => (value, a) => Ordering.Holds(op, value, a.Bind(1, "other")[0]!, a.Budget);

    static bool Equal(Value value, Arguments a) => Equality.Of(value, a.Bind(1, "other")[0]!, a.Budget);

    static bool Different(Value value, Arguments a) => !Equal(value, a);

    static Value Rest(Value value, Value divisor, Arguments a) => Operator.Apply("%", value, divisor, a.Budget);

    static bool IsZero(Value value) => Number.Is(value) && !value.IsTrue;

    /// <summary>Identity, where equal values of the simple types count as one.</summary>
    static bool IsSame(Value value, Value other, Budget budget) => ReferenceEquals(value, other)
        || value.TypeName == other.TypeName && value is Text or Integer or Float && Equality.Of(value, other, budget);
}
