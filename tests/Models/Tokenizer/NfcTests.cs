using System.Security.Cryptography;
using System.Text;
using Nibble.Models.Tokenizer.Normalizers;
using static Nibble.Tests.Models.Tokenizer.TokenizerFixtures;
using Text = Nibble.Models.Tokenizer.Text;

namespace Nibble.Tests.Models.Tokenizer;

public class NfcTests
{
    static string Nfc(string text) => new Nfc().Apply(Text.Of(text)).ToString();

    [Fact]
    public void Every_code_point_is_normalized_as_recorded()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var point = 0; point <= 0x10FFFF; point++)
            if (Rune.IsValid(point))
                hash.AppendData(Encoding.UTF8.GetBytes(Nfc(char.ConvertFromUtf32(point))));
        var expected = Json("nfc.json").GetProperty("every_code_point_sha256").GetString();
        Assert.Equal(expected, Convert.ToHexStringLower(hash.GetCurrentHash()));
    }

    [Fact]
    public void Sequences_of_marks_and_Hangul_are_normalized_as_recorded()
    {
        foreach (var item in Json("nfc.json").GetProperty("cases").EnumerateArray())
            Assert.Equal(item[1].GetString(), Nfc(item[0].GetString()!));
    }

    [Fact]
    public void A_long_run_of_marks_is_sorted_in_little_time()
    {
        const int count = 100_000; // insertion sort would take 10^10 / 4 steps
        var text = "q" + string.Concat(Enumerable.Repeat("\u0301\u0323", count));
        Assert.Equal("q" + new string('\u0323', count) + new string('\u0301', count), Nfc(text));
    }
}
