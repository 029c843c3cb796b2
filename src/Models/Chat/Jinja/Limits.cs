namespace Nibble.Models.Chat.Jinja;

/// <summary>What one template may use. Templates arrive inside checkpoints and are not trusted.</summary>
/// <remarks>The largest published templates have 30 thousand characters, nest 12 deep and take some 10^5 steps.</remarks>
static class Limits
{
    public const int SourceCharacters = 1 << 20;

    /// <summary>Blocks and expressions inside each other.</summary>
    public const int Nesting = 150;

    /// <summary>Macros and recursive loops that wait for each other.</summary>
    public const int Calls = 200;

    /// <summary>Nodes evaluated and items visited in one rendering: about a second.</summary>
    public const long Steps = 10_000_000;

    /// <summary>What a pass of a loop, a macro's call and a list made by a filter cost: they take memory.</summary>
    public const int StepsPerObject = 8;

    /// <summary>UTF-16 units of one string.</summary>
    public const int StringCharacters = 1 << 26;

    /// <summary>UTF-16 units of all strings made in one rendering, together.</summary>
    public const long TotalCharacters = 1L << 28;

    /// <summary>The sandbox's MAX_RANGE.</summary>
    public const int Range = 100_000;

    /// <summary>About 4300 decimal digits, where Python stops converting, too.</summary>
    public const int IntegerBits = 14_284;

    /// <summary>Digits after the point in a formatted number.</summary>
    public const int FractionDigits = 400;
}
