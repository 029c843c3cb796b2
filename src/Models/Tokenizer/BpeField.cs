using System.Text.Json;

namespace Nibble.Models.Tokenizer;

/// <summary>Reads the <c>model</c> of <c>tokenizer.json</c>.</summary>
static class BpeField
{
    public static (Vocabulary Vocabulary, Bpe Model) Read(Field model)
    {
        // files written before models had types are told by their merges
        var type = model.Find("type")?.Text() ?? (model.Find("merges") is null ? "without type and merges" : "BPE");
        if (type != "BPE")
            throw model.Unsupported("model", type, "BPE");
        Refuse(model, "byte_fallback", model.Flag("byte_fallback", false));
        Refuse(model, "dropout", model.Find("dropout") is { } dropout && dropout.Value.GetRawText() is not ("0" or "0.0"));
        Refuse(model, "continuing_subword_prefix", model.Find("continuing_subword_prefix")?.Text() is { Length: > 0 });
        Refuse(model, "end_of_word_suffix", model.Find("end_of_word_suffix")?.Text() is { Length: > 0 });

        var vocabulary = Vocabulary.Read(model["vocab"]);
        var merges = ReadMerges(model["merges"], vocabulary);
        int? unknown = model.Find("unk_token") is not { } token ? null
            : vocabulary.Ids.TryGetValue(token.Text(), out var id) ? id : throw token.Wrong("a token of the vocabulary");
        var options = new BpeOptions(model.Flag("ignore_merges", false), unknown, model.Flag("fuse_unk", false));
        return (vocabulary, new Bpe(vocabulary, merges, options));
    }

    static void Refuse(Field model, string name, bool used)
    {
        if (used)
            throw model.Unsupported("a BPE model with", name, "byte-level BPE models");
    }

    static Dictionary<long, (int Rank, int Id)> ReadMerges(Field field, Vocabulary vocabulary)
    {
        if (field.Value.ValueKind != JsonValueKind.Array)
            throw field.Wrong("an array");
        var merges = new Dictionary<long, (int Rank, int Id)>(field.Value.GetArrayLength());
        var rank = 0;
        foreach (var item in field.Value.EnumerateArray())
        {
            var (left, right) = ReadMerge(new Field(item, field.Place), rank);
            if (!vocabulary.Ids.TryGetValue(left, out var leftId) || !vocabulary.Ids.TryGetValue(right, out var rightId)
                || !vocabulary.Ids.TryGetValue(left + right, out var id))
                throw new ModelException(
                    $"{field.Place}[{rank}]: \"{left}\", \"{right}\" and \"{left + right}\" must all be tokens.");
            merges[Bpe.Pair(leftId, rightId)] = (rank++, id); // of two alike the later counts, as in the original
        }
        return merges;
    }

    /// <summary><c>"a b"</c> or <c>["a", "b"]</c>.</summary>
    static (string Left, string Right) ReadMerge(Field item, int rank)
    {
        if (item.Value.ValueKind == JsonValueKind.Array && item.Value.GetArrayLength() == 2)
            return (new Field(item.Value[0], item.Place).Text(), new Field(item.Value[1], item.Place).Text());
        var parts = item.Value.ValueKind == JsonValueKind.String ? item.Text().Split(' ') : [];
        return parts.Length == 2 ? (parts[0], parts[1])
            : throw item.Wrong($"\"left right\" or [\"left\", \"right\"] at index {rank}");
    }
}
