using Nibble.Models.Chat.Jinja.Filters;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Syntax;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>The value of an expression.</summary>
sealed class Evaluator(Budget budget)
{
    /// <summary>Where the template is being worked on, for messages.</summary>
    public int Line { get; set; }

    public Value Evaluate(Expression node, Scope scope)
    {
        budget.Step();
        Budget.Stack();
        Line = node.Line;
        return node switch
        {
            Constant constant => constant.Value,
            Name name => scope.Find(name.Identifier) ?? new Undefined($"'{name.Identifier}' is undefined"),
            Member member => Member(member, scope),
            Subscript subscript => Subscript(subscript, scope),
            Slice slice => Slice(slice, scope),
            Call call => Call(call, scope),
            FilterCall filter => Filter(filter, Evaluate(filter.Input!, scope), scope),
            TestCall test => Test(test, scope),
            Not not => Bool.Of(!Evaluate(not.Operand, scope).IsTrue),
            And and => Evaluate(and.Left, scope) is var left && left.IsTrue ? Evaluate(and.Right, scope) : left,
            Or or => Evaluate(or.Left, scope) is var left && left.IsTrue ? left : Evaluate(or.Right, scope),
            Conditional conditional => Conditional(conditional, scope),
            Comparison comparison => Comparison(comparison, scope),
            Arithmetic arithmetic => Arithmetic(arithmetic, scope),
            Concatenation concatenation => Concatenation(concatenation, scope),
            Sign sign => Operator.Sign(sign.Negative, Evaluate(sign.Operand, scope)),
            ListLiteral list => new ListValue(All(list.Items, scope)),
            TupleLiteral tuple => new TupleValue(All(tuple.Items, scope)),
            DictLiteral dict => new DictValue(
                [.. dict.Items.Select(item => (Evaluate(item.Key, scope), Evaluate(item.Value, scope)))], budget),
            _ => throw new TemplateFault($"an expression of kind {node.GetType().Name}"),
        };
    }

    /// <summary>Filters over a text that a block has written.</summary>
    public Value ApplyToBlock(Expression filters, Value text, Scope scope)
    {
        var filter = (FilterCall)filters;
        return Filter(filter, filter.Input is null ? text : ApplyToBlock(filter.Input, text, scope), scope);
    }

    public Value Call(Call call, Scope scope, Value? caller = null)
    {
        var target = Evaluate(call.Target, scope);
        var name = call.Target switch { Name simple => simple.Identifier, Member member => member.Name, _ => "call" };
        var arguments = Arguments(name, call.Arguments, scope, caller);
        Line = call.Line;
        var result = target.Call(arguments);
        Line = call.Line;
        return result;
    }

    Value Member(Member node, Scope scope)
    {
        var target = Evaluate(node.Target, scope);
        Line = node.Line;
        return Lookup.Member(target, node.Name, budget);
    }

    Value Subscript(Subscript node, Scope scope)
    {
        var target = Evaluate(node.Target, scope);
        var key = Evaluate(node.Key, scope);
        Line = node.Line;
        return Lookup.Subscript(target, key, budget);
    }

    Value Slice(Slice node, Scope scope)
    {
        var target = Evaluate(node.Target, scope);
        return Slicing.Apply(target, Bound(node.Start), Bound(node.Stop), Bound(node.Step), budget);

        Value Bound(Expression? bound) => bound is null ? None.Value : Evaluate(bound, scope);
    }

    Value Filter(FilterCall node, Value input, Scope scope)
    {
        var arguments = Arguments(node.Name, node.Arguments, scope);
        Line = node.Line;
        return FilterTable.Apply(node.Name, input, arguments);
    }

    Bool Test(TestCall node, Scope scope)
    {
        var input = Evaluate(node.Input, scope);
        var arguments = Arguments(node.Name, node.Arguments, scope);
        Line = node.Line;
        return Bool.Of(TestTable.Holds(node.Name, input, arguments));
    }

    Value Conditional(Conditional node, Scope scope)
    {
        if (Evaluate(node.Test, scope).IsTrue)
            return Evaluate(node.Then, scope);
        return node.Else is not null
            ? Evaluate(node.Else, scope)
            : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
    }

    Bool Comparison(Comparison node, Scope scope)
    {
        var left = Evaluate(node.First, scope);
        foreach (var (op, operand) in node.Links)
        {
            var right = Evaluate(operand, scope);
            Line = node.Line;
            var holds = op switch
            {
                "==" => Equality.Of(left, right, budget),
                "!=" => !Equality.Of(left, right, budget),
                "in" => Membership.Contains(right, left, budget),
                "not in" => !Membership.Contains(right, left, budget),
                _ => Ordering.Holds(op, left, right, budget),
            };
            if (!holds)
                return Bool.False;
            left = right;
        }

        return Bool.True;
    }

    Value Arithmetic(Arithmetic node, Scope scope)
    {
        var left = Evaluate(node.Left, scope);
        var right = Evaluate(node.Right, scope);
        Line = node.Line;
        return Operator.Apply(node.Operator, left, right, budget);
    }

    Text Concatenation(Concatenation node, Scope scope)
    {
        var result = new Writer(budget);
        foreach (var operand in node.Operands)
            Evaluate(operand, scope).Print(result);
        return new(result.ToString());
    }

    Value[] All(IReadOnlyList<Expression> nodes, Scope scope) => [.. nodes.Select(node => Evaluate(node, scope))];

    Arguments Arguments(string name, ArgumentList list, Scope scope, Value? caller = null)
    {
        Value[] positional = All(list.Positional, scope);
        if (list.Spread is not null)
            positional = [.. positional, .. Membership.Iterate(Evaluate(list.Spread, scope), budget)];
        if (list.Keywords.Count == 0 && list.KeywordSpread is null && caller is null)
            return new(name, positional, budget);

        var keywords = new OrderedDictionary<string, Value>();
        foreach (var (key, value) in list.Keywords)
            keywords[key] = Evaluate(value, scope);
        if (list.KeywordSpread is not null)
            foreach (var (key, value) in Spread(Evaluate(list.KeywordSpread, scope)))
                keywords[key.Str(budget)] = value;
        if (caller is not null)
            keywords["caller"] = caller;
        return new(name, positional, keywords, budget);
    }

    static IReadOnlyDictionary<Value, Value> Spread(Value value) => value is DictValue dict
        ? dict.Entries
        : throw new TemplateFault($"argument after ** must be a mapping, not {value.TypeName}");
}
