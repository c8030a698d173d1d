import { strict as assert } from "node:assert";
import { openCheckpointFiles, openFile } from "../../../cli/file_source.ts";

Deno.test("openFile() reads ranges that overlap in time", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
    await Deno.writeFile(`${folder}/a.bin`, bytes);
    using file = await openFile(`${folder}/a.bin`);
    assert.deepEqual([file.name, file.size], ["a.bin", 1000]);
    const ranges = Array.from({ length: 20 }, (_, i) => [(i * 137) % 900, i * 5] as const);
    const parts = await Promise.all(ranges.map(([offset, length]) => file.read(offset, length)));
    parts.forEach((part, i) => {
      const [offset, length] = ranges[i]!;
      assert.deepEqual(part, bytes.slice(offset, offset + length));
    });
    await assert.rejects(
      file.read(990, 11),
      /^RangeError: Cannot read a.bin as the range must lie within its 1000 bytes: 11 bytes at 990$/,
    );
    await Deno.truncate(`${folder}/a.bin`, 500);
    await assert.rejects(file.read(0, 600), /must keep its 1000 bytes while it is read/);
    await assert.rejects(openFile(`${folder}/b.bin`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openCheckpointFiles() takes what belongs together", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const names = ["m.bin", "other.bin", "tok512.bin", "m.gguf", "config.json", "notes.txt"];
    for (const name of names) await Deno.writeTextFile(`${folder}/${name}`, name);
    const opened = async (path: string) => {
      using open = await openCheckpointFiles(path);
      return Object.keys(open.files);
    };
    assert.deepEqual(await opened(`${folder}/m.bin`), ["m.bin", "tok512.bin"]);
    assert.deepEqual(await opened(`${folder}/m.gguf`), ["m.gguf"]);
    assert.deepEqual(await opened(folder), [
      "config.json",
      "m.bin",
      "m.gguf",
      "other.bin",
      "tok512.bin",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
