namespace Nibble.Perf;

static class Program
{
    static int Main() => 0;
}
