namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>
/// Temporal, height and width position of every token, arXiv:2409.12191 section 2.1. A token of text has the same number three
/// times; the tokens of a picture share the temporal one and count rows and columns from it; what follows goes on behind the
/// largest.
/// </summary>
/// <param name="Axes">[3][T].</param>
/// <param name="Mask">[T]: the token is a placeholder.</param>
/// <param name="Next">The position of the token that follows.</param>
sealed record MultimodalPositions(int[][] Axes, bool[] Mask, int Next)
{
    /// <param name="merge">Patches on the side of the square behind one placeholder.</param>
    /// <param name="start">The position of the first token.</param>
    /// <param name="pictures">False: placeholders are ordinary tokens.</param>
    /// <exception cref="ModelException">Placeholders and pictures do not match.</exception>
    public static MultimodalPositions Of(Sample sample, int imageToken, int merge, int start, bool pictures)
    {
        var (ids, images) = (sample.Ids, sample.Images);
        int[][] axes = [new int[ids.Length], new int[ids.Length], new int[ids.Length]];
        var mask = new bool[ids.Length];
        var (next, image) = (start, 0);
        for (var token = 0; token < ids.Length;)
        {
            if (!pictures || ids[token] != imageToken)
            {
                axes[0][token] = axes[1][token] = axes[2][token] = next;
                next = checked(next + 1);
                token++;
                continue;
            }

            if (image == images.Count)
                throw new ModelException($"Token {token} is a placeholder beyond the last of {images.Count} pictures.");
            var (height, width) = (images[image].GridHeight / merge, images[image].GridWidth / merge);
            CheckRun(ids, token, imageToken, (long)height * width, image);
            for (var i = 0; i < height * width; i++, token++)
            {
                mask[token] = true;
                axes[0][token] = next;
                axes[1][token] = checked(next + i / width);
                axes[2][token] = checked(next + i % width);
            }
            next = checked(next + Math.Max(height, width));
            image++;
        }

        return image == images.Count
            ? new MultimodalPositions(axes, mask, next)
            : throw new ModelException($"The sample has {images.Count} pictures and placeholders for {image}.");
    }

    static void CheckRun(int[] ids, int from, int imageToken, long count, int image)
    {
        var found = ids.AsSpan(from).IndexOfAnyExcept(imageToken);
        if (found < 0)
            found = ids.Length - from;
        if (found < count)
            throw new ModelException($"Picture {image} needs {count} placeholders in a row from token {from}; found {found}.");
    }
}
