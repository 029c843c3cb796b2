namespace Nibble.Cli;

static class Program
{
    static int Main() => 0;
}
