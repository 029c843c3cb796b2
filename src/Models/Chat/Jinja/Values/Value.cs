namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>A value as a template sees it: one of Python's types, with Python's rules. Immutable, except where said.</summary>
abstract class Value
{
    /// <summary>Python's name of the type, as its messages show it.</summary>
    public abstract string TypeName { get; }

    public virtual bool IsTrue => true;

    /// <summary>len(); null for types without one.</summary>
    public virtual int? Length => null;

    /// <summary>What a loop goes through; null for types that cannot be iterated.</summary>
    public virtual IEnumerable<Value>? Items => null;

    public virtual bool IsCallable => false;

    public virtual Value Call(Arguments arguments) => throw new TemplateFault($"'{TypeName}' object is not callable");

    /// <summary>A method or an attribute; null when there is none.</summary>
    public virtual Value? Attribute(string name) => null;

    /// <summary>The value under a key or an index; null when there is none.</summary>
    public virtual Value? Item(Value key, Budget budget) => null;

    /// <summary>repr()</summary>
    public abstract void Repr(Writer to);

    /// <summary>str()</summary>
    public virtual void Print(Writer to) => Repr(to);

    public string Str(Budget budget)
    {
        if (this is Text text)
            return text.Value;
        var writer = new Writer(budget);
        Print(writer);
        return writer.ToString();
    }
}
