using System.Runtime.Intrinsics.X86;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

/// <summary>What every format promises.</summary>
public class WeightFormatTests
{
    static readonly WeightFormat[] formats =
    [
        new Fp8(), new Fp8PerChannel(), new Int8PerChannel(), new Int4(), new Int4(32), new NvFp4(), new MxFp4(), new MxFp8(),
        new Int4Fp8(), new NvFp4(32), new NvFp4(32, InFp8: true), new Fp8Blocks(), new Nf4(), new Nf4(32, ScaleBlock: 16),
        new IntGroup(2, 32), new IntGroup(3, 32), new IntGroup(4, 64), new IntGroup(5, 32), new IntGroup(8, 32),
        new IntGroup(2, 32, symmetric: false), new IntGroup(3, 32, symmetric: false), new IntGroup(8, 32, symmetric: false),
    ];

    public static TheoryData<string> Names => [.. formats.Select(format => format.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_get_the_codes_of_the_definition(string name)
    {
        var format = Format(name);
        for (var columns = Step(format); columns <= 40 * Step(format) && columns <= 1280; columns += Step(format))
            foreach (var row in Rows(columns))
            {
                var (codes, scales, tensorScale) = Encode(format, row);
                var plain = new byte[codes.Length];
                format.PlainCodeRow(row, tensorScale, scales, plain);
                Assert.True(plain.AsSpan().SequenceEqual(codes), $"{name}, {columns} columns");
            }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_decode_like_the_definition_from_every_column_for_every_length(string name)
    {
        var format = Format(name);
        var columns = Math.Max(2 * Math.Max(format.Group, 16), 96);
        var (codes, scales, tensorScale) = Encode(format, Numbers.Awkward(columns, 5));
        new Random(6).NextBytes(codes); // every code, also those an encoder never chooses
        var whole = new float[columns];
        format.PlainDecodeRow(codes, scales, tensorScale, 0, whole);
        for (var column = 0; column < columns; column += 2)
            for (var length = 0; length <= Math.Min(columns - column, 80); length++)
            {
                var stretch = new float[length];
                format.DecodeRow(codes, scales, tensorScale, column, stretch);
                Assert.True(Numbers.BitsOf(whole.AsSpan(column, length)).AsSpan().SequenceEqual(Numbers.BitsOf(stretch)),
                    $"{name}, columns {column} to {column + length}");
            }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Long_rows_decode_like_the_definition(string name)
    {
        var format = Format(name);
        const int Columns = 64 * 128 + 256; // more groups than are decoded at a time
        var (codes, scales, tensorScale) = Encode(format, Numbers.Awkward(Columns, 7));
        var (plain, fast) = (new float[Columns - 2], new float[Columns - 2]);
        format.PlainDecodeRow(codes, scales, tensorScale, 2, plain);
        format.DecodeRow(codes, scales, tensorScale, 2, fast);
        Assert.Equal(Numbers.BitsOf(plain), Numbers.BitsOf(fast));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Numbers_of_the_grid_come_back(string name)
    {
        var format = Format(name);
        var columns = Math.Max(format.Group, 32);
        var (codes, scales, tensorScale) = Encode(format, Numbers.Awkward(columns, 8));
        var once = new float[columns];
        format.DecodeRow(codes, scales, tensorScale, 0, once);
        for (var column = 0; column < columns; column++)
        {
            var group = format.Group > 0 ? column / format.Group : 0;
            Assert.Equal(once[column], format.Round(once[column], tensorScale, scales, group));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Zeros_stay_zeros_under_positive_scales(string name)
    {
        var format = Format(name);
        Assert.True(format.TensorScale(0) > 0);
        var (codes, scales, tensorScale) = Encode(format, new float[256]);
        var decoded = new float[256];
        format.DecodeRow(codes, scales, tensorScale, 0, decoded);
        Assert.All(decoded, value => Assert.Equal(0f, value));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_row_of_tiny_numbers_stays_finite(string name)
    {
        var format = Format(name);
        var row = Enumerable.Repeat(1e-45f, 256).ToArray();
        row[3] = -3e-44f;
        var (codes, scales, tensorScale) = Encode(format, row);
        var decoded = new float[256];
        format.DecodeRow(codes, scales, tensorScale, 0, decoded);
        Assert.All(decoded, value => Assert.True(MathF.Abs(value) < 1e-37f, $"{value}"));
    }

    [Fact]
    public void Widths_that_do_not_fit_are_refused()
    {
        Assert.Contains("100 inputs are not a multiple of the group 128", new Int4().Refuse(8, 100));
        Assert.NotNull(new NvFp4().Refuse(8, 24));
        Assert.NotNull(new MxFp8().Refuse(8, 48));
        Assert.Null(new NvFp4().Refuse(8, 48));
        Assert.Null(new Fp8().Refuse(7, 13));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Int4(24));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IntGroup(9));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IntGroup(4, 12));
    }

    [Theory]
    [InlineData("fp8-tensor", 8)]
    [InlineData("fp8-channel", 8 + 32 / 256.0)]
    [InlineData("int8-channel", 8 + 32 / 256.0)]
    [InlineData("int4-g128", 4.25)]
    [InlineData("nvfp4-b16", 4.5)]
    [InlineData("mxfp4-b32", 4.25)]
    [InlineData("mxfp8-b32", 8.25)]
    [InlineData("int4-g128-fp8", 4.25)]
    [InlineData("nvfp4-b32-fp8", 4.25)]
    [InlineData("fp8-b128x128", 8 + 32 / 16384.0)]
    [InlineData("nf4-g64", 4.5)]
    [InlineData("nf4-g32-s16", 4 + (8 + 2) / 32.0)]
    [InlineData("int3-g32", 4)]
    [InlineData("int2-g32-asym", 4)]
    public void Bits_per_weight_count_the_scales(string name, double bits) => Assert.Equal(bits, Format(name).BitsPerWeight(256));

    [Fact]
    public void Formats_are_values()
    {
        Assert.Equal(new NvFp4(), new NvFp4());
        Assert.Equal(new Int4(64), new Int4(64));
        Assert.NotEqual(new Int4(64), new Int4(128));
        Assert.Equal(new Int4Fp8(), new Int4Fp8());
        Assert.NotEqual(new Int4Fp8(64), new Int4Fp8());
        Assert.NotEqual(new NvFp4(32), new NvFp4(32, InFp8: true));
        Assert.NotEqual(new IntGroup(3), new IntGroup(3, symmetric: false));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(128)]
    public void Every_instruction_set_decodes_nibbles_alike(int group)
    {
        var random = new Random(group);
        var (codes, numbers, scales) = (new byte[256], Float4.E2M1.ToArray(), new float[512 / group + 1]);
        random.NextBytes(codes);
        for (var g = 0; g < scales.Length; g++)
            scales[g] = random.NextSingle();
        for (var offset = 0; offset < group; offset += 6)
            for (var length = 0; length <= 2 * group && length <= 100; length++)
            {
                var (plain, values) = (new float[length], new float[length]);
                Nibbles.DecodePlain(codes, scales, group, offset, numbers, plain);
                if (Avx2.IsSupported)
                {
                    Nibbles.Decode<Nibbles.Avx2Decoder>(codes, scales, group, offset, numbers, values);
                    Assert.Equal(Numbers.BitsOf(plain), Numbers.BitsOf(values));
                }
                if (Avx512F.IsSupported)
                {
                    Nibbles.Decode<Nibbles.Avx512Decoder>(codes, scales, group, offset, numbers, values);
                    Assert.Equal(Numbers.BitsOf(plain), Numbers.BitsOf(values));
                }
            }
    }

    static WeightFormat Format(string name) => formats.First(format => format.Name == name);

    static int Step(WeightFormat format) => format.Group > 0 ? format.Group : 1;

    static IEnumerable<float[]> Rows(int columns)
    {
        yield return Numbers.Awkward(columns, columns);
        yield return Numbers.Extreme(columns, columns + 1);
        yield return new float[columns];
    }

    static (byte[] Codes, byte[] Scales, float TensorScale) Encode(WeightFormat format, float[] row)
    {
        var tensorScale = format.TensorScale(Amax.Of(row));
        var (codes, scales) = (new byte[format.CodeBytesPerRow(row.Length)], new byte[format.ScaleBytesPerRow(row.Length)]);
        format.EncodeRow(row, tensorScale, codes, scales);
        return (codes, scales, tensorScale);
    }
}
