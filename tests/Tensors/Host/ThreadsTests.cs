using Nibble.Tensors.Host;

namespace Nibble.Tests.Tensors.Host;

public sealed class ThreadsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_index_is_handled_once_in_runs_of_the_grain(int threads)
    {
        using var workers = new Workers(threads);
        foreach (var grain in (int[])[1, 3, 64, int.MaxValue])
            for (var count = 0; count < 200; count += 1 + count / 3)
            {
                var times = new int[count];
                workers.For(count, grain, (start, end) =>
                {
                    Assert.Equal(0, start % grain);
                    Assert.Equal(Math.Min(grain, count - start), end - start);
                    for (var i = start; i < end; i++)
                        Interlocked.Increment(ref times[i]);
                });
                Assert.All(times, n => Assert.Equal(1, n));
            }
    }

    [Fact]
    public void Indices_reach_the_end_of_the_range_of_int()
    {
        using var workers = new Workers(3);
        var runs = new List<(int, int)>();
        workers.For(int.MaxValue, 1 << 30, (start, end) =>
        {
            lock (runs)
                runs.Add((start, end));
        });
        runs.Sort();
        Assert.Equal([(0, 1 << 30), (1 << 30, int.MaxValue)], runs);
    }

    [Fact]
    public void All_threads_work()
    {
        using var workers = new Workers(4);
        using var together = new Barrier(4);
        workers.For(4, 1, (_, _) => Assert.True(together.SignalAndWait(TimeSpan.FromSeconds(20))));
    }

    [Fact]
    public void Sleeping_workers_are_woken()
    {
        using var workers = new Workers(3);
        using var together = new Barrier(3);
        for (var i = 0; i < 5; i++)
        {
            Thread.Sleep(5); // longer than they spin
            workers.For(3, 1, (_, _) => Assert.True(together.SignalAndWait(TimeSpan.FromSeconds(20))));
        }
    }

    [Fact]
    public void Loops_inside_a_body_run_on_its_thread()
    {
        using var workers = new Workers(4);
        var sum = 0;
        workers.For(8, 1, (outer, _) =>
        {
            var thread = Environment.CurrentManagedThreadId;
            workers.For(10, 1, (inner, _) =>
            {
                Assert.Equal(thread, Environment.CurrentManagedThreadId);
                Interlocked.Add(ref sum, outer * inner);
            });
        });
        Assert.Equal(28 * 45, sum);
    }

    [Fact]
    public void Loops_started_at_the_same_time_do_not_mix()
    {
        using var workers = new Workers(3);
        var callers = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (var repeat = 0; repeat < 200; repeat++)
            {
                var times = new int[50];
                workers.For(50, 1, (start, _) => Interlocked.Increment(ref times[start]));
                Assert.All(times, n => Assert.Equal(1, n));
            }
        })).ToArray();
        foreach (var caller in callers)
            caller.Start();
        foreach (var caller in callers)
            caller.Join();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void An_exception_stops_the_loop_and_reaches_the_caller(int threads)
    {
        using var workers = new Workers(threads);
        for (var repeat = 0; repeat < 20; repeat++)
        {
            var done = 0;
            var thrown = Assert.Throws<InvalidOperationException>(() => workers.For(1_000_000, 1, (start, _) =>
            {
                Interlocked.Increment(ref done);
                if (start == 100)
                    throw new InvalidOperationException("at 100");
            }));
            Assert.Equal("at 100", thrown.Message);
            Assert.InRange(done, 1, 900_000);
        }
        var after = 0;
        workers.For(10, 1, (_, _) => Interlocked.Increment(ref after));
        Assert.Equal(10, after);
    }

    [Fact]
    public void A_loop_with_a_struct_body_allocates_nothing()
    {
        using var workers = new Workers(2);
        var sums = new int[1];
        workers.For(100, 1, new Adding(sums));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            workers.For(100, 1, new Adding(sums));
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(101 * 4950, sums[0]);
    }

    [Fact]
    public void Nonsense_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Threads.For(-1, 1, (_, _) => { }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Threads.For(1, 0, (_, _) => { }));
    }

    [Fact]
    public void The_number_of_threads_is_the_processors_unless_it_is_named()
    {
        Assert.Equal(Environment.ProcessorCount, Threads.Parse(null));
        Assert.Equal(7, Threads.Parse("7"));
        foreach (var wrong in (string[])["0", "-1", "1025", "two", "1.5", " 2"])
            Assert.Equal($"NIBBLE_THREADS={wrong}: expected a number from 1 to 1024.",
                Assert.Throws<ArgumentException>(() => Threads.Parse(wrong)).Message);
    }

    readonly struct Adding(int[] sums) : IRangeBody
    {
        public void Run(int start, int end) => Interlocked.Add(ref sums[0], start);
    }
}
