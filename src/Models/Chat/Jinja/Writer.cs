using System.Text;

namespace Nibble.Models.Chat.Jinja;

/// <summary>Text in the making, within the budget.</summary>
sealed class Writer(Budget budget)
{
    readonly StringBuilder text = new();

    public Budget Budget { get; } = budget;

    /// <summary>UTF-16 units written.</summary>
    public int Length => text.Length;

    public Writer Append(string value)
    {
        Reserve(value.Length);
        text.Append(value);
        return this;
    }

    public Writer Append(char value, int count = 1)
    {
        Reserve(count);
        text.Append(value, count);
        return this;
    }

    public override string ToString() => text.ToString();

    void Reserve(int count)
    {
        Budget.Text(count);
        if ((long)text.Length + count > Limits.StringCharacters)
            throw new TemplateFault($"the template makes a string of more than {Limits.StringCharacters} characters");
    }
}
