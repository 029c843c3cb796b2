using System.Globalization;
using System.Numerics;
using Nibble.Models.Chat.Jinja.Strings;

namespace Nibble.Models.Chat.Jinja.Values;

sealed class None : Value
{
    public static readonly None Value = new();

    public override string TypeName => "NoneType";
    public override bool IsTrue => false;
    public override void Repr(Writer to) => to.Append("None");
}

sealed class Bool : Value
{
    public static readonly Bool True = new();
    public static readonly Bool False = new();

    public override string TypeName => "bool";
    public override bool IsTrue => this == True;

    public static Bool Of(bool value) => value ? True : False;
    public override void Repr(Writer to) => to.Append(IsTrue ? "True" : "False");
}

sealed class Integer(BigInteger value) : Value
{
    public BigInteger Value { get; } = value;

    public override string TypeName => "int";
    public override bool IsTrue => !Value.IsZero;

    /// <summary>A result of arithmetic, refused when it is beyond <see cref="Limits.IntegerBits"/>.</summary>
    public static Integer Checked(BigInteger value) => value.GetBitLength() <= Limits.IntegerBits
        ? new(value)
        : throw new TemplateFault($"a whole number of {value.GetBitLength()} bits; {Limits.IntegerBits} are allowed");

    public override void Repr(Writer to) => to.Append(Value.ToString(CultureInfo.InvariantCulture));
}

sealed class Float(double value) : Value
{
    public double Value { get; } = value;

    public override string TypeName => "float";
    public override bool IsTrue => Value != 0;
    public override void Repr(Writer to) => to.Append(FloatText.Repr(Value));

    public override Value? Attribute(string name) =>
        name == "is_integer" ? new Function(name, a => Bool.Of(double.IsInteger(Value))) : null;
}
