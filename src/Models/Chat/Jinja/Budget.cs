using System.Runtime.CompilerServices;

namespace Nibble.Models.Chat.Jinja;

/// <summary>Counts what one rendering uses and stops it at <see cref="Limits"/>.</summary>
sealed class Budget
{
    long stepsLeft = Limits.Steps;
    long charactersLeft = Limits.TotalCharacters;
    int calls;

    public void Step(long count = 1)
    {
        if (count > stepsLeft)
            throw new TemplateFault($"the template takes more than {Limits.Steps} steps");
        stepsLeft -= count;
    }

    /// <summary>A string of this length is about to be made.</summary>
    public void Text(long length)
    {
        if (length > Limits.StringCharacters)
            throw new TemplateFault($"the template makes a string of {length} characters; {Limits.StringCharacters} are allowed");
        if (length > charactersLeft)
            throw new TemplateFault($"the template makes more than {Limits.TotalCharacters} characters of text");
        charactersLeft -= length;
    }

    /// <summary>A pattern is about to be searched for in a text, at worst in the product of their lengths.</summary>
    public void Search(int text, int pattern) => Step((long)text * pattern >> 8);

    public void Enter()
    {
        if (++calls > Limits.Calls)
            throw new TemplateFault($"more than {Limits.Calls} macros or recursive loops call each other");
    }

    public void Leave() => calls--;

    /// <summary>Asked before every recursion, whatever the size of this thread's stack.</summary>
    public static void Stack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new TemplateFault("the template or its values are nested too deeply");
    }
}
