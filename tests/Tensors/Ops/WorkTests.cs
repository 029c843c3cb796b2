using Nibble.Tensors.Ops;

namespace Nibble.Tests.Tensors.Ops;

public class WorkTests
{
    [Theory, InlineData(0, 1), InlineData(1, 1e9), InlineData(1000, 1), InlineData(1000, 1e6)]
    public void Every_index_is_visited_once(int count, double nanoseconds)
    {
        var visits = new int[count];
        Work.For(count, nanoseconds, i => Interlocked.Increment(ref visits[i]));
        Assert.All(visits, visit => Assert.Equal(1, visit));
    }

    [Theory, InlineData(0), InlineData(1), InlineData(65_535), InlineData(65_536), InlineData(65_537), InlineData(200_000)]
    public void Pieces_cover_everything_once(int elements)
    {
        var visits = new int[elements];
        Work.Pieces(elements, 10, (start, length) =>
        {
            for (var i = start; i < start + length; i++)
                Interlocked.Increment(ref visits[i]);
        });
        Assert.All(visits, visit => Assert.Equal(1, visit));
    }
}
