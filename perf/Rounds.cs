namespace Nibble.Perf;

/// <summary>One line of a table. <see cref="Work"/> is what one call does, in flops or bytes.</summary>
sealed record Measured(string Name, double Work, Action Call);

/// <summary>
/// Benchmarks in turn, so that a disturbed minute disturbs all of them: each round times the bound and then every case, and a
/// case is judged by the median of its ratios to the bound of the same round.
/// </summary>
static class Rounds
{
    const int Count = 7;

    /// <summary>Writes one line per case: time, rate, share of the bound.</summary>
    /// <param name="unit">What a rate of 1e9 is called.</param>
    /// <param name="single">Whether the cases run on one thread. They are then timed in processor time.</param>
    public static void Run(TextWriter output, string unit, bool single, Measured bound, params ReadOnlySpan<Measured> cases)
    {
        var seconds = new List<double>[cases.Length];
        var shares = new List<double>[cases.Length];
        var bounds = new List<double>();
        for (var i = 0; i < cases.Length; i++)
        {
            (seconds[i], shares[i]) = ([], []);
            cases[i].Call();
        }
        bound.Call();

        for (var round = 0; round < Count; round++)
        {
            for (var i = 0; i < cases.Length; i++)
            {
                var reference = bound.Work / Time(bound.Call, single);
                var time = Time(cases[i].Call, single);
                bounds.Add(reference);
                seconds[i].Add(time);
                shares[i].Add(cases[i].Work / time / reference);
            }
        }

        output.WriteLine($"{bound.Name,-44} {"",10}    {Median(bounds) / 1e9,8:F1} {unit}");
        for (var i = 0; i < cases.Length; i++)
        {
            var time = Median(seconds[i]);
            var rate = cases[i].Work / time / 1e9;
            output.WriteLine($"  {cases[i].Name,-42} {time * 1e3,10:F3} ms {rate,8:F1} {unit} {Median(shares[i]),6:F2}x");
        }
    }

    /// <summary>Seconds of one call, repeated for 20 ms at least. Processor time ignores what other users take.</summary>
    static double Time(Action call, bool single)
    {
        var calls = 0;
        var start = Now(single);
        double spent;
        do
        {
            call();
            calls++;
            spent = Now(single) - start;
        }
        while (spent < 0.02);
        return spent / calls;
    }

    static double Now(bool single) => single
        ? Environment.CpuUsage.TotalTime.TotalSeconds
        : System.Diagnostics.Stopwatch.GetTimestamp() / (double)System.Diagnostics.Stopwatch.Frequency;

    static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
