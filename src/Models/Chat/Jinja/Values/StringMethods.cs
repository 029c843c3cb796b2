using System.Collections.Frozen;
using System.Text;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Strings;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>The methods of str.</summary>
static class StringMethods
{
    delegate Value Method(Text self, Arguments arguments);

    static readonly FrozenDictionary<string, Method> Methods = new Dictionary<string, Method>
    {
        ["capitalize"] = Changed(CaseMapping.Capitalize),
        ["casefold"] = Changed(CaseMapping.Fold),
        ["lower"] = Changed(CaseMapping.Lower),
        ["swapcase"] = Changed(CaseMapping.Swap),
        ["title"] = Changed(CaseMapping.Title),
        ["upper"] = Changed(CaseMapping.Upper),
        ["center"] = (self, a) => Padding.Center(self, a),
        ["ljust"] = (self, a) => Padding.Left(self, a),
        ["rjust"] = (self, a) => Padding.Right(self, a),
        ["zfill"] = (self, a) => Padding.Zeros(self, a),
        ["strip"] = (self, a) => Stripping.Strip(self, a, start: true, end: true),
        ["lstrip"] = (self, a) => Stripping.Strip(self, a, start: true, end: false),
        ["rstrip"] = (self, a) => Stripping.Strip(self, a, start: false, end: true),
        ["removeprefix"] = (self, a) => Stripping.Prefix(self, a),
        ["removesuffix"] = (self, a) => Stripping.Suffix(self, a),
        ["find"] = (self, a) => new Integer(Searching.Find(self, a, last: false)),
        ["rfind"] = (self, a) => new Integer(Searching.Find(self, a, last: true)),
        ["index"] = (self, a) => Searching.Index(self, a, last: false),
        ["rindex"] = (self, a) => Searching.Index(self, a, last: true),
        ["count"] = (self, a) => Searching.Count(self, a),
        ["startswith"] = (self, a) => Searching.Meets(self, a, (text, part) => text.StartsWith(part, StringComparison.Ordinal)),
        ["endswith"] = (self, a) => Searching.Meets(self, a, (text, part) => text.EndsWith(part, StringComparison.Ordinal)),
        ["split"] = (self, a) => Splitting.Split(self, a, fromRight: false),
        ["rsplit"] = (self, a) => Splitting.Split(self, a, fromRight: true),
        ["splitlines"] = (self, a) => Splitting.Lines(self, a),
        ["partition"] = (self, a) => Splitting.Partition(self, a, fromRight: false),
        ["rpartition"] = (self, a) => Splitting.Partition(self, a, fromRight: true),
        ["join"] = Join,
        ["replace"] = (self, a) => Replacing.Apply(self, a),
        ["format"] = (self, a) => new Text(new BraceFormat(a).Apply(self.Value)),
        ["isalnum"] = All(CharacterClass.IsAlphanumeric),
        ["isalpha"] = All(CharacterClass.IsAlpha),
        ["isascii"] = (self, a) => Bool.Of(a.Bind(0) is [] && Ascii.IsValid(self.Value)),
        ["isdecimal"] = All(CharacterClass.IsDecimal),
        ["isdigit"] = All(CharacterClass.IsDigit),
        ["isnumeric"] = All(CharacterClass.IsNumeric),
        ["isspace"] = All(CharacterClass.IsSpace),
        ["islower"] = (self, a) => Bool.Of(a.Bind(0) is [] && IsLower(self.Value)),
        ["isupper"] = (self, a) => Bool.Of(a.Bind(0) is [] && IsUpper(self.Value)),
        ["istitle"] = (self, a) => Bool.Of(a.Bind(0) is [] && IsTitle(self.Value)),
    }.ToFrozenDictionary();

    public static Function? Find(Text self, string name) =>
        Methods.TryGetValue(name, out var method) ? new Function(name, arguments => method(self, arguments)) : null;

    public static bool IsLower(string text) => text.EnumerateRunes().Any(CharacterClass.IsCased)
        && !text.EnumerateRunes().Any(rune => CharacterClass.IsUpper(rune) || CharacterClass.IsTitle(rune));

    public static bool IsUpper(string text) => text.EnumerateRunes().Any(CharacterClass.IsCased)
        && !text.EnumerateRunes().Any(rune => CharacterClass.IsLower(rune) || CharacterClass.IsTitle(rune));

    static bool IsTitle(string text)
    {
        var (any, inWord) = (false, false);
        foreach (var rune in text.EnumerateRunes())
        {
            var cased = CharacterClass.IsCased(rune);
            if (cased && CharacterClass.IsLower(rune) != inWord)
                return false;
            any |= cased;
            inWord = cased;
        }

        return any;
    }

    static Method Changed(Func<string, string> change) => (self, arguments) =>
    {
        arguments.Bind(0);
        arguments.Budget.Text(self.Value.Length);
        return new Text(change(self.Value));
    };

    static Method All(Func<Rune, bool> holds) => (self, arguments) =>
    {
        arguments.Bind(0);
        return Bool.Of(self.IsTrue && self.Value.EnumerateRunes().All(holds));
    };

    static Value Join(Text self, Arguments arguments)
    {
        var result = new Writer(arguments.Budget);
        var index = 0;
        foreach (var item in Membership.Iterate(arguments.Bind(1, "iterable")[0]!, arguments.Budget))
        {
            if (item is not Text text)
                throw new TemplateFault($"sequence item {index}: expected str instance, {item.TypeName} found");
            if (index++ > 0)
                result.Append(self.Value);
            result.Append(text.Value);
        }

        return new Text(result.ToString());
    }
}
