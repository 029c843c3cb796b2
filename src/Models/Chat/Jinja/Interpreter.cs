using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Syntax;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>Runs statements.</summary>
sealed class Interpreter
{
    enum Flow { Next, Break, Continue }

    readonly Budget budget;
    readonly Evaluator evaluator;
    readonly Writer page;
    readonly List<TextSpan> generated = [];

    public Interpreter(Budget budget)
    {
        this.budget = budget;
        evaluator = new(budget);
        page = new(budget);
    }

    /// <summary>The line being worked on.</summary>
    public int Line => evaluator.Line;

    /// <summary>What <c>{% generation %}</c> marks, in UTF-16 units of the page.</summary>
    public IReadOnlyList<TextSpan> Generated => generated;

    public string Render(Body body, Scope scope)
    {
        Run(body, scope, page);
        return page.ToString();
    }

    Flow Run(Body body, Scope scope, Writer output)
    {
        Budget.Stack();
        foreach (var statement in body.Statements)
            if (Run(statement, scope, output) is var flow and not Flow.Next)
                return flow;
        return Flow.Next;
    }

    Flow Run(Statement statement, Scope scope, Writer output)
    {
        budget.Step();
        evaluator.Line = statement.Line;
        switch (statement)
        {
            case Data data:
                output.Append(data.Text);
                return Flow.Next;
            case Print print:
                evaluator.Evaluate(print.Value, scope).Print(output);
                return Flow.Next;
            case If choice:
                foreach (var (test, then) in choice.Branches)
                    if (evaluator.Evaluate(test, scope).IsTrue)
                        return Run(then, scope, output);
                return Run(choice.Else, scope, output);
            case For loop:
                return Loop(loop, evaluator.Evaluate(loop.Items, scope), scope, output, 0);
            case Break:
                return Flow.Break;
            case Continue:
                return Flow.Continue;
            case With with:
                var inner = new Scope(scope);
                foreach (var (target, value) in with.Values)
                    Assign(target, evaluator.Evaluate(value, scope), inner);
                return Run(with.Body, inner, output);
            case SetBlock set:
                return RunCaptured(set.Body, set.Filter, scope, value => Assign(set.Target, value, scope));
            case FilterBlock block:
                return RunCaptured(block.Body, block.Filter, scope, value => value.Print(output));
            default:
                Define(statement, scope, output);
                return Flow.Next;
        }
    }

    /// <summary>Statements whose bodies, if any, are not part of the loop around them.</summary>
    void Define(Statement statement, Scope scope, Writer output)
    {
        switch (statement)
        {
            case Set set:
                Assign(set.Target, evaluator.Evaluate(set.Value, scope), scope);
                break;
            case MacroDefinition macro:
                scope.Set(macro.Signature.Name, Bind(macro.Signature, scope));
                break;
            case CallBlock block:
                evaluator.Call(block.Call, scope, caller: Bind(block.Caller, scope)).Print(output);
                break;
            case Syntax.Generation generation:
                var written = Captured(generation.Body, new Scope(scope));
                generated.Add(new(page.Length, written.Value.Length));
                output.Append(written.Value);
                break;
        }
    }

    /// <summary>Only a jump out of the else branch reaches the loop around this one.</summary>
    Flow Loop(For loop, Value items, Scope outer, Writer output, int depth)
    {
        var kept = Membership.Iterate(items, budget).Where(item => loop.Test is null || Keeps(loop, item, outer)).ToArray();
        var state = new LoopValue(kept, depth, loop.Recursive ? again => Recurse(loop, again, outer, depth + 1) : null);
        var passed = false; // Jinja counts a pass that break or continue cut short as none
        for (var i = 0; i < kept.Length; i++)
        {
            budget.Step(Limits.StepsPerObject);
            state.Index = i;
            var scope = new Scope(outer);
            scope.Set("loop", state);
            Assign(loop.Target, kept[i], scope);
            var flow = Run(loop.Body, scope, output);
            passed |= flow == Flow.Next;
            if (flow == Flow.Break)
                break;
        }

        return passed ? Flow.Next : Run(loop.Else, new Scope(outer), output);
    }

    bool Keeps(For loop, Value item, Scope outer)
    {
        budget.Step(Limits.StepsPerObject);
        var scope = new Scope(outer);
        Assign(loop.Target, item, scope);
        return evaluator.Evaluate(loop.Test!, scope).IsTrue;
    }

    Text Recurse(For loop, Value items, Scope outer, int depth)
    {
        budget.Enter();
        var output = new Writer(budget);
        Loop(loop, items, outer, output, depth);
        budget.Leave();
        return new(output.ToString());
    }

    /// <summary>A body's text, filtered, unless the body leaves the loop around it.</summary>
    Flow RunCaptured(Body body, Expression? filter, Scope scope, Action<Value> use)
    {
        var output = new Writer(budget);
        var flow = Run(body, new Scope(scope), output);
        if (flow != Flow.Next)
            return flow;
        var text = new Text(output.ToString());
        use(filter is null ? text : evaluator.ApplyToBlock(filter, text, scope));
        return Flow.Next;
    }

    Text Captured(Body body, Scope scope)
    {
        var output = new Writer(budget);
        Run(body, scope, output);
        return new(output.ToString());
    }

    Macro Bind(Signature signature, Scope scope) => new(signature, arguments => Invoke(signature, arguments, new Scope(scope)));

    Text Invoke(Signature signature, Arguments arguments, Scope scope)
    {
        budget.Enter();
        budget.Step(Limits.StepsPerObject * 4L); // a scope, two dictionaries, a text
        MacroParameters.Set(signature, arguments, scope, value => evaluator.Evaluate(value, scope));
        var text = Captured(signature.Body, scope);
        budget.Leave();
        return text;
    }

    void Assign(Target target, Value value, Scope scope)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Set(name.Name, value);
                break;
            case NamespaceTarget { Name: var name, Attribute: var attribute }:
                if (scope.Find(name) is not Namespace space)
                    throw new TemplateFault("cannot assign attribute on non-namespace object");
                space.Set(attribute, value);
                break;
            case TupleTarget tuple:
                var values = Membership.ToArray(value, budget);
                if (values.Length != tuple.Items.Count)
                    throw new TemplateFault(values.Length < tuple.Items.Count
                        ? $"not enough values to unpack (expected {tuple.Items.Count}, got {values.Length})"
                        : $"too many values to unpack (expected {tuple.Items.Count})");
                for (var i = 0; i < values.Length; i++)
                    Assign(tuple.Items[i], values[i], scope);
                break;
        }
    }
}
