namespace Nibble.Models.Tokenizer;

/// <summary>A token that is found in the text as it is, never made by merging.</summary>
/// <param name="Id">Its row in the embedding.</param>
/// <param name="Content">Its text.</param>
/// <param name="Special">Left out of decoded text on request.</param>
/// <param name="StripLeft">White space before it belongs to it.</param>
/// <param name="StripRight">White space after it belongs to it.</param>
/// <param name="SingleWord">Found only between characters that are not of a word.</param>
/// <param name="Normalized">Looked for in the normalized text, in its own normalized form.</param>
public sealed record AddedToken(
    int Id, string Content, bool Special, bool StripLeft, bool StripRight, bool SingleWord, bool Normalized)
{
    internal static AddedToken Read(Field field) => new(
        field["id"].Number(),
        field["content"].Text(),
        field.Flag("special", false),
        field.Flag("lstrip", false),
        field.Flag("rstrip", false),
        field.Flag("single_word", false),
        field.Flag("normalized", false));
}
