using Nibble.Models.Chat.Jinja.Operators;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>The methods of list, tuple and dict that change nothing.</summary>
static class CollectionMethods
{
    public static Function? Find(Sequence self, string name) => name switch
    {
        "index" => new(name, a => Index(self, a)),
        "count" => new(name, a => new Integer(Count(self, a))),
        "copy" when self is ListValue => new(name, a => self),
        _ => null,
    };

    public static Function? Find(DictValue self, string name) => name switch
    {
        "get" => new(name, a => Get(self, a)),
        "keys" => new(name, a => new DictView(self, "dict_keys", entry => entry.Key)),
        "values" => new(name, a => new DictView(self, "dict_values", entry => entry.Value)),
        "items" => new(name, a => new DictView(self, "dict_items", entry => new TupleValue([entry.Key, entry.Value]))),
        "copy" => new(name, a => self),
        _ => null,
    };

    static Integer Index(Sequence self, Arguments arguments)
    {
        var bound = arguments.Bind(1, "value", "start", "stop");
        var start = Place(arguments.Integer(bound[1], 0), self.Values.Count);
        var stop = Place(arguments.Integer(bound[2], int.MaxValue), self.Values.Count);
        for (var i = start; i < stop; i++)
            if (Equality.Of(self.Values[i], bound[0]!, arguments.Budget))
                return new(i);
        throw new TemplateFault($"the value is not in the {self.TypeName}");
    }

    static int Place(int index, int count) => Math.Clamp(index < 0 ? index + count : index, 0, count);

    static int Count(Sequence self, Arguments arguments)
    {
        var value = arguments.Bind(1, "value")[0]!;
        return self.Values.Count(item => Equality.Of(item, value, arguments.Budget));
    }

    static Value Get(DictValue self, Arguments arguments)
    {
        var bound = arguments.Bind(1, "key", "default");
        return self.TryGet(bound[0]!, arguments.Budget, out var value) ? value : bound[1] ?? None.Value;
    }
}
