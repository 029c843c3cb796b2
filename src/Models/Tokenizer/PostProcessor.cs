namespace Nibble.Models.Tokenizer;

/// <summary>Adds special tokens around a text and trims offsets: the <c>post_processor</c> of <c>tokenizer.json</c>.</summary>
abstract class PostProcessor
{
    const string Supported = "ByteLevel, TemplateProcessing, Sequence";

    /// <param name="tokens">The tokens of one text, changed in place.</param>
    /// <param name="addSpecialTokens">Whether templates add theirs.</param>
    public abstract void Apply(Tokens tokens, bool addSpecialTokens);

    public static PostProcessor? Read(Field? field, Vocabulary vocabulary)
    {
        if (field is not { } found)
            return null;
        var type = found["type"].Text();
        return type switch
        {
            "ByteLevel" when found.Flag("trim_offsets", true) => new Trim(vocabulary, found.Flag("add_prefix_space", true)),
            "ByteLevel" => new Sequence([]),
            "TemplateProcessing" => Template.Read(found, vocabulary),
            "Sequence" => new Sequence(
                [.. found["processors"].Items().Select(item => Read(item, vocabulary)).OfType<PostProcessor>()]),
            _ => throw found.Unsupported("post-processor", type, Supported),
        };
    }

    sealed class Sequence(PostProcessor[] parts) : PostProcessor
    {
        public override void Apply(Tokens tokens, bool addSpecialTokens)
        {
            foreach (var part in parts)
                part.Apply(tokens, addSpecialTokens);
        }
    }

    /// <summary>Special tokens before and after the text (the <c>single</c> template), with empty offsets.</summary>
    sealed class Template(int[] before, int[] after) : PostProcessor
    {
        public override void Apply(Tokens tokens, bool addSpecialTokens)
        {
            if (!addSpecialTokens)
                return;
            tokens.Ids.InsertRange(0, before);
            tokens.Ids.AddRange(after);
            tokens.Offsets?.InsertRange(0, new (int, int)[before.Length]);
            tokens.Offsets?.AddRange(new (int, int)[after.Length]);
        }

        public static Template Read(Field field, Vocabulary vocabulary)
        {
            List<int> before = [], after = [];
            var sequences = 0;
            foreach (var item in field["single"].Items())
                if (item.Find("Sequence") is { } sequence)
                    sequences += sequence["id"].Text() == "A" ? 1 : throw sequence.Wrong("the sequence A");
                else
                    (sequences == 0 ? before : after).AddRange(IdsOf(field, item["SpecialToken"]["id"], vocabulary));
            return sequences == 1 ? new Template([.. before], [.. after])
                : throw field["single"].Wrong("a template with one sequence");
        }

        static IEnumerable<int> IdsOf(Field field, Field name, Vocabulary vocabulary)
        {
            var token = field["special_tokens"].Find(name.Text()) ?? throw name.Wrong("one of special_tokens");
            return token["ids"].Items()
                .Select(id => vocabulary[id.Number()] is null ? throw id.Wrong("the id of a token") : id.Number());
        }
    }

    /// <summary>Takes the white space at both ends of a token out of its offsets.</summary>
    sealed class Trim(Vocabulary vocabulary, bool addPrefixSpace) : PostProcessor
    {
        const char SpaceLetter = 'Ġ';

        public override void Apply(Tokens tokens, bool addSpecialTokens)
        {
            for (var i = 0; i < tokens.Offsets?.Count; i++)
            {
                var text = Text.Of(vocabulary[tokens.Ids[i]]!).Points;
                var leading = Spaces(text, 0, 1);
                var trailing = Spaces(text, text.Length - 1, -1);
                var (start, end) = tokens.Offsets[i];
                // one space at the beginning of a text may be invented, without a width to take away; several are not
                if (addPrefixSpace && leading == 1 && (i == 0 || start == 0))
                    leading = 0;
                start = Math.Min(start + leading, end);
                if (end >= trailing)
                    end = Math.Max(end - trailing, start);
                tokens.Offsets[i] = (start, end);
            }
        }

        static int Spaces(ReadOnlySpan<int> text, int from, int step)
        {
            var count = 0;
            for (var i = from; (uint)i < text.Length && (text[i] == SpaceLetter || Unicode.IsSpace(text[i])); i += step)
                count++;
            return count;
        }
    }
}
