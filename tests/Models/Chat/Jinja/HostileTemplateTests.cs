using System.Diagnostics;
using Nibble.Models;
using Nibble.Models.Chat.Jinja;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Tests.Models.Chat.Jinja;

/// <summary>Templates come from checkpoints: whatever they try ends soon, in one clear error.</summary>
public class HostileTemplateTests
{
    /// <summary>The slowest of them takes 2 s on two shared cores; a template that escapes its limits takes hours.</summary>
    static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    const string GrowingText = "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(100) %}";
    const string Tree = "{% set ns = namespace(l=[]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}";
    const string TupleTree = "{% set a = namespace(l=()) %}{% for i in range(100) %}{% set a.l = (a.l, a.l) %}{% endfor %}";
    const string Deep = "{% set a = namespace(l=[]) %}{% for i in range(100000) %}{% set a.l = [a.l] %}{% endfor %}";

    const string Hundred = "1111111111222222222233333333334444444444555555555566666666667777777777888888888899999999990000000000";
    const string Thousand = Hundred + Hundred + Hundred + Hundred + Hundred + Hundred + Hundred + Hundred + Hundred + Hundred;
    const string LongNumber = Thousand + Thousand + Thousand + Thousand + Thousand;

    [Theory]
    [InlineData("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps")]
    [InlineData("{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}", "steps")]
    [InlineData("{{ range(10**9) }}", "Range too big")]
    [InlineData("{{ range(10**30, 0) | list }}{{ range(0, 10**30, 10**29)|list|length }}{{ [0] * 10**12 }}", "steps")]
    [InlineData("{{ 'a' * 10**12 }}", "characters")]
    [InlineData(GrowingText + "{% set ns.s = ns.s + ns.s %}{% endfor %}", "characters")]
    [InlineData(GrowingText + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "characters")]
    [InlineData(GrowingText + "{% set ns.s = ns.s|replace('a', ns.s) %}{% endfor %}", "characters")]
    [InlineData(GrowingText + "{% set ns.s = ns.s.join([ns.s, ns.s]) %}{% endfor %}", "characters")]
    [InlineData("{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}", "characters")]
    [InlineData("{% set ns = namespace(l=[0]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}", "steps")]
    [InlineData(Tree + "{{ ns.l }}", "characters")]
    [InlineData(Tree + "{{ ns.l|tojson }}", "steps")]
    [InlineData(Tree + "{% set first = ns.l %}" + Tree + "{{ first == ns.l }}", "steps")]
    [InlineData(TupleTree + "{{ {a.l: 1} }}", "steps")]
    [InlineData(TupleTree + "{{ [a.l]|unique|list }}", "steps")]
    [InlineData("{% set a = namespace() %}{% set a.a = a %}{{ a }}", "nested")]
    [InlineData(Deep + "{{ a.l }}", "nested")]
    [InlineData(Deep + "{{ a.l|tojson }}", "nested")]
    [InlineData("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "call each other")]
    [InlineData("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "call each other")]
    [InlineData("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}", "steps")]
    [InlineData("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "call each other")]
    [InlineData("{% macro f() %}{{ caller is defined }}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}", "call each other")]
    [InlineData("{{ 10 ** (10 ** 10) }}", "bits")]
    [InlineData("{% set a = namespace(n=10) %}{% for i in range(100) %}{% set a.n = a.n * a.n %}{% endfor %}", "bits")]
    [InlineData("{{ 'a'.center(10 ** 12) }}", "characters")]
    [InlineData("{{ 'a'.zfill(10 ** 12) }}", "characters")]
    [InlineData("{{ 'a'|center(10 ** 12) }}", "characters")]
    [InlineData("{{ 'a'|indent(10 ** 12) }}", "characters")]
    [InlineData("{{ '%2000000000d' % 1 }}", "characters")]
    [InlineData("{{ '%.2000000000f' % 1 }}", "digits")]
    [InlineData("{{ '{:2000000000}'.format(1) }}", "characters")]
    [InlineData("{{ '{:.2000000000f}'.format(1) }}", "digits")]
    [InlineData("{{ '%99999999999999d' % 1 }}", "width")]
    [InlineData("{{ 1.5|round(2000000000) }}{{ [1]|tojson(indent=10**9) }}", "indent")]
    [InlineData("{{ [1]|batch(2000000000, 0)|list }}", "steps")]
    [InlineData("{{ [1]|slice(2000000000)|list }}", "steps")]
    [InlineData("{{ ('a' * 4000000).count('a' * 2000000) }}", "steps")]
    [InlineData("{{ 0x" + LongNumber + " }}", "digits")]
    [InlineData("{{ " + LongNumber + " }}", "digits")]
    [InlineData("{{ strftime_now('%c' * 1000000) }}", "time format")]
    [InlineData("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe")]
    [InlineData("{{ messages.append(1) }}", "unsafe")]
    [InlineData("{{ cycler.__init__.__globals__.os }}", "unsafe")]
    [InlineData("{% include '/etc/passwd' %}", "cannot load")]
    [InlineData("{% import 'os' as os %}", "cannot load")]
    [InlineData("{{ open('/etc/passwd').read() }}", "'open' is undefined")]
    public void It_is_stopped(string source, string because)
    {
        var clock = Stopwatch.StartNew();
        var error = Assert.Throws<ModelException>(() => JinjaTemplate.Parse(source, "chat_template.jinja")
            .Render([KeyValuePair.Create("messages", (Value)new ListValue([]))], ChatFixtures.Now));

        Assert.StartsWith("chat_template.jinja, line 1: ", error.Message);
        Assert.Contains(because, error.Message);
        Assert.True(clock.Elapsed < Soon, clock.Elapsed.ToString());
    }

    [Theory]
    [InlineData("{{ ", "(", "1", ")", " }}")]
    [InlineData("{{ ", "[", "1", "]", " }}")]
    [InlineData("{{ ", "{1:", "1", "}", " }}")]
    [InlineData("{{ ", "-", "1", "", " }}")]
    [InlineData("{{ ", "not ", "1", "", " }}")]
    [InlineData("{{ ", "1 if 1 else ", "1", "", " }}")]
    [InlineData("{{ ", "a[", "1", "]", " }}")]
    [InlineData("{{ ", "a(", "1", ")", " }}")]
    [InlineData("{% set ", "(", "a", ")", " = 1 %}")]
    [InlineData("", "{% if 1 %}", "1", "{% endif %}", "")]
    [InlineData("", "{% for x in [1] %}", "1", "{% endfor %}", "")]
    [InlineData("", "{% macro m() %}", "1", "{% endmacro %}", "")]
    public void Nesting_of_the_syntax_is_bounded(string before, string open, string inner, string close, string after)
    {
        string Nested(int depth) => before + Times(open, depth) + inner + Times(close, depth) + after;

        JinjaTemplate.Parse(Nested(20), "t");
        var error = Assert.Throws<ModelException>(() => JinjaTemplate.Parse(Nested(30_000), "t"));
        Assert.Contains("inside each other", error.Message);
    }

    [Theory]
    [InlineData("1", "+1")]
    [InlineData("1", "|abs")]
    [InlineData("'a'", "[0]")]
    [InlineData("'a'", "~'a'")]
    [InlineData("1", " and 1")]
    public void A_chain_of_any_length_is_rendered_or_refused(string first, string link)
    {
        var template = JinjaTemplate.Parse("{{ " + first + Times(link, 100_000) + " }}", "t");
        Exception? thrown = null;
        var thread = new Thread(
            () => thrown = Record.Exception(() => template.Render([], ChatFixtures.Now)), maxStackSize: 512 << 10);
        thread.Start();
        thread.Join();
        Assert.True(thrown is null or ModelException, thrown?.ToString());
    }

    [Fact]
    public void A_template_has_a_largest_size()
    {
        var error = Assert.Throws<ModelException>(() => JinjaTemplate.Parse(new string('a', 2_000_000), "t"));
        Assert.Contains("characters", error.Message);
    }

    /// <summary>Broken copies of real templates: rendered, or refused with a <see cref="ModelException"/>, never anything
    /// else.</summary>
    [Fact]
    public void Damaged_templates_fail_cleanly()
    {
        string[] pieces =
        [
            "{%", "%}", "{{", "}}", "'", "(", "[", "|", ".", "-", " if ", " for ", "endif", "\\", "{#", " is ", "not ", "0", "**",
        ];
        var random = new Random(20260726);
        var messages = KeyValuePair.Create("messages", (Value)ChatFixtures.Conversation("tool_round").Messages);
        foreach (var name in ChatFixtures.TemplateNames)
            for (var i = 0; i < 60; i++)
            {
                var source = ChatFixtures.Source(name);
                for (var cuts = random.Next(1, 4); cuts > 0; cuts--)
                {
                    var start = random.Next(source.Length);
                    source = source.Remove(start, random.Next(Math.Min(12, source.Length - start)));
                    source = source.Insert(random.Next(source.Length), pieces[random.Next(pieces.Length)]);
                }

                var thrown = Record.Exception(() => JinjaTemplate.Parse(source, "t").Render([messages], ChatFixtures.Now));
                Assert.True(thrown is null or ModelException, $"{thrown}\n{source}");
            }
    }

    static string Times(string text, int count) => string.Concat(Enumerable.Repeat(text, count));
}
