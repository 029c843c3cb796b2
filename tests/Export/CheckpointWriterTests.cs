using System.Text;
using Nibble.Export;
using Nibble.Tensors;
using Nibble.Tests.Export.Safetensors;

namespace Nibble.Tests.Export;

public class CheckpointWriterTests
{
    static readonly TensorSpec[] Specs =
    [
        .. Enumerable.Range(0, 12).SelectMany(block => new TensorSpec[]
        {
            new($"layers.{block}.weight", DType.U8, new Shape(16, 20 + block)),
            new($"layers.{block}.weight_scale", DType.F8E4M3, new Shape(16, 3)),
            new($"layers.{block}.weight_scale_2", DType.F32, default),
        }),
        new("norm.weight", DType.BF16, new Shape(33)),
    ];

    static CheckpointOptions Options(params (string, string)[] fields) => new()
    {
        MaxShardBytes = 1500,
        Fingerprint = [new("model", "m"), new("recipe", "r"),
            .. fields.Select(field => KeyValuePair.Create(field.Item1, field.Item2))],
    };

    static Dictionary<string, byte[]> Contents(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
        .Where(file => Path.GetFileName(file) != "lock")
            .ToDictionary(file => Path.GetRelativePath(folder, file), File.ReadAllBytes);

    static readonly SideFile[] Side = [SideFile.Of("config.json", "{\"a\": 1}"u8.ToArray())];

    static Tensor Data(TensorSpec spec) => SafetensorsWriterTests.Filled(spec, Array.IndexOf(Specs, spec));

    /// <summary>Blocks of three tensors, each with a note, then the rest.</summary>
    static void Run(CheckpointWriter writer, Action<int>? after = null)
    {
        var step = 0;
        foreach (var block in Specs.Chunk(3))
        {
            var rest = block.Where(spec => !writer.Finished.Contains(spec.Name)).ToList();
            foreach (var spec in rest)
            {
                writer.Write(spec.Name, Data(spec));
                after?.Invoke(step++);
            }
            if (rest.Count == 0)
                continue;
            writer.Note(block[0].Name, Encoding.UTF8.GetBytes($"{{\n \"error\": 1e-3, \"name\": \"{block[0].Name}\"}}"));
            after?.Invoke(step++);
            writer.Checkpoint();
            after?.Invoke(step++);
        }
    }

    static Dictionary<string, byte[]> Uninterrupted(string folder)
    {
        using (var writer = CheckpointWriter.Open(folder, Specs, Options()))
        {
            Run(writer);
            Assert.Equal(13, writer.Notes.Count);
            Assert.Equal("""{"error":1e-3,"name":"norm.weight"}""", Encoding.UTF8.GetString(writer.Notes["norm.weight"].Span));
            writer.Complete(Side);
        }
        return Contents(folder);
    }

    [Fact]
    public void A_complete_run_leaves_shards_index_and_side_files_that_read_back()
    {
        using var folder = new TemporaryFolder();
        var files = Uninterrupted(folder["out"]);
        Assert.Equal(["config.json", .. Enumerable.Range(1, 5).Select(i => $"model-{i:D5}-of-00005.safetensors"),
            "model.safetensors.index.json"],
            files.Keys.Order(StringComparer.Ordinal));
        using var checkpoint = CheckpointFolder.Open(folder["out"]);
        Assert.Empty(checkpoint.Warnings);
        Assert.Equal(Specs.ToHashSet(), checkpoint.Tensors.ToHashSet());
        foreach (var spec in Specs)
            unsafe
            {
                Assert.Equal(new ReadOnlySpan<byte>(Data(spec).Pointer, (int)spec.Bytes),
                    new ReadOnlySpan<byte>(checkpoint.Load(spec.Name).Pointer, (int)spec.Bytes));
            }
    }

    [Fact]
    public void One_shard_has_no_index()
    {
        using var folder = new TemporaryFolder();
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options() with { MaxShardBytes = 1 << 20 }))
        {
            Run(writer);
            writer.Complete(Side);
        }
        Assert.Equal(["config.json", "model.safetensors"], Contents(folder["out"]).Keys.Order());
    }

    /// <summary>
    /// What a kill leaves behind is what lies in the folder at that moment, so the folder is copied after every step.
    /// </summary>
    [Fact]
    public void A_run_killed_at_any_moment_ends_with_the_same_bytes()
    {
        using var folder = new TemporaryFolder();
        var expected = Uninterrupted(folder["whole"]);
        var steps = 0;
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            Run(writer, step => Copy(folder["out"], folder[$"killed-{steps++}"]));
        Assert.True(steps >= 40);

        for (var step = 0; step < steps; step++)
        {
            using (var writer = CheckpointWriter.Open(folder[$"killed-{step}"], Specs, Options()))
            {
                Assert.Equal(writer.Finished.Count(name => name.EndsWith(".weight", StringComparison.Ordinal)),
                    writer.Notes.Count);
                Assert.Equal(step == steps - 1 ? Specs.Length : (step + 1) / 5 * 3, writer.Finished.Count);
                Run(writer);
                writer.Complete(Side);
            }
            AssertSame(expected, Contents(folder[$"killed-{step}"]));
        }
    }

    [Fact]
    public void A_run_abandoned_at_random_points_again_and_again_ends_with_the_same_bytes()
    {
        using var folder = new TemporaryFolder();
        var expected = Uninterrupted(folder["whole"]);
        var random = new Random(3);
        for (var trial = 0; trial < 25; trial++)
        {
            var output = folder[$"out-{trial}"];
            for (var life = 0; life < 3; life++)
            {
                using var writer = CheckpointWriter.Open(output, Specs, Options());
                var last = random.Next(1, 25);
                try
                {
                    Run(writer, step => { if (step == last) throw new OperationCanceledException(); });
                }
                catch (OperationCanceledException)
                {
                }
            }
            Scribble(output, random);
            using (var writer = CheckpointWriter.Open(output, Specs, Options()))
            {
                Run(writer);
                writer.Complete(Side);
            }
            AssertSame(expected, Contents(output));
        }
    }

    /// <summary>A journal cut anywhere, as by a power failure, costs steps and nothing else.</summary>
    [Fact]
    public void A_torn_journal_line_is_dropped()
    {
        using var folder = new TemporaryFolder();
        var expected = Uninterrupted(folder["whole"]);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            Run(writer);
        var journal = File.ReadAllBytes(Path.Combine(folder["out"], ".nibble", "progress.jsonl"));
        var firstLine = Array.IndexOf(journal, (byte)'\n') + 1;
        for (var length = firstLine; length < journal.Length; length += 97)
        {
            var output = folder[$"cut-{length}"];
            Copy(folder["out"], output);
            File.WriteAllBytes(Path.Combine(output, ".nibble", "progress.jsonl"), journal[..length]);
            using (var writer = CheckpointWriter.Open(output, Specs, Options()))
                Run(writer);
            using (var writer = CheckpointWriter.Open(output, Specs, Options()))
            {
                Assert.Equal(Specs.Length, writer.Finished.Count);
                writer.Complete(Side);
            }
            AssertSame(expected, Contents(output));
        }
    }

    [Fact]
    public void A_damaged_line_in_the_middle_is_an_error()
    {
        using var folder = new TemporaryFolder();
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            Run(writer);
        var journal = Path.Combine(folder["out"], ".nibble", "progress.jsonl");
        var lines = File.ReadAllLines(journal);
        lines[2] = lines[2][..10];
        File.WriteAllLines(journal, lines);
        Assert.Contains("line 3",
            Assert.Throws<CheckpointException>(() => CheckpointWriter.Open(folder["out"], Specs, Options())).Message);
    }

    [Fact]
    public void A_kill_between_two_renames_is_finished_by_the_next_run()
    {
        using var folder = new TemporaryFolder();
        var expected = Uninterrupted(folder["whole"]);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            Run(writer);
        foreach (var shard in Directory.GetFiles(folder["out"], "*.partial").Order().Take(2))
            File.Move(shard, shard[..^".partial".Length]);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
        {
            Assert.Equal(Specs.Length, writer.Finished.Count);
            writer.Complete(Side);
        }
        AssertSame(expected, Contents(folder["out"]));
    }

    [Fact]
    public void A_lost_shard_is_written_again()
    {
        using var folder = new TemporaryFolder();
        var expected = Uninterrupted(folder["whole"]);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            Run(writer);
        File.Delete(Directory.GetFiles(folder["out"], "model-00002*").Single());
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
        {
            Assert.True(writer.Finished.Count < Specs.Length);
            Run(writer);
            writer.Complete(Side);
        }
        AssertSame(expected, Contents(folder["out"]));
    }

    [Fact]
    public void Another_run_names_the_field_that_differs_with_both_values()
    {
        using var folder = new TemporaryFolder();
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options(("data", "sha-1"))))
            Run(writer);
        string Message(IReadOnlyList<TensorSpec> specs, CheckpointOptions options) =>
            Assert.Throws<CheckpointException>(() => CheckpointWriter.Open(folder["out"], specs, options)).Message;

        Assert.Contains("data was 'sha-1' and is now 'sha-2'", Message(Specs, Options(("data", "sha-2"))));
        Assert.Contains("data was 'sha-1' and is now '(absent)'", Message(Specs, Options()));
        Assert.Contains("seed was '(absent)' and is now '3'", Message(Specs, Options(("data", "sha-1"), ("seed", "3"))));
        Assert.Contains("maxShardBytes was '1500'", Message(Specs, Options(("data", "sha-1")) with { MaxShardBytes = 1501 }));
        Assert.Contains("tensors was '37 tensors", Message(Specs[1..], Options(("data", "sha-1"))));
    }

    [Fact]
    public void A_folder_with_other_content_is_refused_unless_told_to_overwrite()
    {
        using var folder = new TemporaryFolder();
        Uninterrupted(folder["out"]);
        var error = Assert.Throws<CheckpointException>(() => CheckpointWriter.Open(folder["out"], Specs, Options()));
        Assert.Contains("not empty", error.Message);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs[..3], Options() with { Overwrite = true }))
        {
            Run3(writer);
            writer.Complete(Side);
        }
        Assert.Equal(["config.json", "model.safetensors", "model.safetensors.index.json"], Contents(folder["out"]).Keys.Append(
            "model.safetensors.index.json").Order());
        using var checkpoint = CheckpointFolder.Open(folder["out"]);
        Assert.Equal(3, checkpoint.Tensors.Count);

        static void Run3(CheckpointWriter writer)
        {
            foreach (var spec in Specs[..3])
                writer.Write(spec.Name, Data(spec));
        }
    }

    [Fact]
    public void The_source_folder_is_never_written_into()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["model"]);
        Directory.CreateSymbolicLink(folder["link"], folder["model"]);
        foreach (var output in new[] { folder["model"], folder["link"], folder["model"] + "/" })
            Assert.Contains("read from", Assert.Throws<CheckpointException>(() => CheckpointWriter.Open(output, Specs,
                Options() with { Source = folder["model"], Overwrite = true })).Message);
    }

    [Fact]
    public void An_unwritable_place_and_a_full_disk_are_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "");
        Assert.Contains("file", Assert.Throws<CheckpointException>(() =>
            CheckpointWriter.Open(folder["file/out"], Specs, Options())).Message);
        Assert.Contains("/proc/",
            Assert.Throws<CheckpointException>(() => CheckpointWriter.Open("/proc/out", Specs, Options())).Message);
        TensorSpec[] huge = [new("huge", DType.U8, new Shape(1L << 50))];
        Assert.Contains("model.safetensors", Assert.Throws<CheckpointException>(
            () => CheckpointWriter.Open(folder["huge"], huge, new CheckpointOptions())).Message);
    }

    [Fact]
    public void Two_runs_in_one_folder_are_kept_apart()
    {
        using var folder = new TemporaryFolder();
        using var first = CheckpointWriter.Open(folder["out"], Specs, Options());
        Assert.Contains("in use",
            Assert.Throws<CheckpointException>(() => CheckpointWriter.Open(folder["out"], Specs, Options())).Message);
    }

    [Fact]
    public void Misuse_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var writer = CheckpointWriter.Open(folder["out"], Specs, Options());
        Assert.Contains("'other'", Assert.Throws<CheckpointException>(() => writer.Write("other", Tensor.Zeros(1))).Message);
        writer.Write(Specs[0].Name, Data(Specs[0]));
        Assert.Empty(writer.Finished);
        writer.Checkpoint();
        Assert.Contains("already", Assert.Throws<CheckpointException>(() => writer.Write(Specs[0].Name, Data(Specs[0]))).Message);
        Assert.Throws<ArgumentException>(() => writer.Note("a", "{"u8));
        Assert.Contains("not written", Assert.Throws<CheckpointException>(() => writer.Complete(Side)).Message);
        foreach (var name in new[] { "", "..", "a/b", "../a" })
            Assert.Throws<ArgumentException>(() => SideFile.Of(name, default));
    }

    [Fact]
    public void Side_files_are_copied_byte_for_byte()
    {
        using var folder = new TemporaryFolder();
        var bytes = new byte[100_000];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(folder["tokenizer.json"], bytes);
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
        {
            Run(writer);
            Assert.Contains("none.json", Assert.Throws<CheckpointException>(
                () => writer.Complete([SideFile.Copy(folder.Path, "none.json")])).Message);
        }
        using (var writer = CheckpointWriter.Open(folder["out"], Specs, Options()))
            writer.Complete([SideFile.Copy(folder.Path, "tokenizer.json")]);
        Assert.Equal(bytes, Contents(folder["out"])["tokenizer.json"]);
    }

    static void AssertSame(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.AsSpan().SequenceEqual(actual[name]), name);
    }

    static void Copy(string from, string to)
    {
        foreach (var (name, bytes) in Contents(from))
        {
            var file = Path.Combine(to, name);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, bytes);
        }
    }

    /// <summary>Overwrites the places of tensors the journal does not know, as a kill in the middle of a write would.</summary>
    static void Scribble(string folder, Random random)
    {
        using var writer = CheckpointWriter.Open(folder, Specs, Options());
        foreach (var spec in Specs.Where(spec => !writer.Finished.Contains(spec.Name)))
            writer.Write(spec.Name, SafetensorsWriterTests.Filled(spec, random.Next()));
    }
}
