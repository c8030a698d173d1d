import { strict as assert } from "node:assert";
import { fileJournal } from "../../cli/file_journal.ts";
import { lockFolder } from "../../cli/folder_lock.ts";
import { type Journal, type Json, memoryJournal } from "../../core/journal.ts";
import { fc } from "../_deps.ts";
import { inTempFolder } from "./_run.ts";

Deno.test("fileJournal() gives back what was appended and written, also when opened again", async () => {
  await inTempFolder(async (folder) => {
    const first = fileJournal(`${folder}/run`);
    const inner = first.within("iteration-1");
    assert.deepEqual(await inner.records("responses"), new Map());
    await Promise.all([
      inner.append("responses", "a", { text: "ü\n" }),
      inner.append("responses", "b", [1, null]),
      inner.append("responses", "c", { key: "own" }),
      inner.append("responses", "d", { value: 1 }),
    ]);
    await inner.write("fit.bin", Uint8Array.of(1, 2));
    await inner.write("fit.bin", Uint8Array.of(3));
    const again = fileJournal(`${folder}/run`).within("iteration-1");
    assert.deepEqual([...await again.records("responses")], [
      ["a", { text: "ü\n" }],
      ["b", [1, null]],
      ["c", { key: "own" }],
      ["d", { value: 1 }],
    ]);
    assert.deepEqual(await again.read("fit.bin"), Uint8Array.of(3));
    await again.remove("fit.bin");
    await again.remove("fit.bin");
    assert.equal(await again.read("fit.bin"), undefined);
  });
});

Deno.test("fileJournal() refuses a key that a list has, and a name that leads out", async () => {
  await inTempFolder(async (folder) => {
    const journal = fileJournal(folder);
    await journal.append("list", "a", 1);
    await assert.rejects(journal.append("list", "a", 2), {
      name: "RangeError",
      message: /list.*: a$/,
    });
    for (const name of ["../x", "a/../../x", "/x", "", "a//b", "\0"]) {
      await assert.rejects(journal.read(name), { name: "RangeError" }, name);
    }
  });
});

Deno.test("fileJournal() cuts off the line that a crash cut short", async () => {
  await inTempFolder(async (folder) => {
    const whole = '{"key":"a","n":1}\n{"key":"b","n":2}\n';
    const path = `${folder}/list.jsonl`;
    for (let length = whole.length - 1; length > 18; length--) {
      await Deno.writeTextFile(path, whole.slice(0, length));
      const journal = fileJournal(folder);
      assert.deepEqual([...(await journal.records("list")).keys()], ["a"]);
      await journal.append("list", "b", { n: 2 });
      assert.equal(await Deno.readTextFile(path), whole);
    }
  });
});

Deno.test("fileJournal() keeps no file open and refuses known keys, however many lists there are", async () => {
  await inTempFolder(async (folder) => {
    const journal = fileJournal(folder);
    for (const round of [0, 1]) {
      for (let iteration = 0; iteration < 30; iteration++) {
        const inner = journal.within(`iteration-${iteration}`);
        await Promise.all(
          ["a", "b"].map((key) => inner.append("responses", `${key}${round}`, { iteration })),
        );
        await assert.rejects(inner.append("responses", "a0", null), { name: "RangeError" });
      }
    }
    if (Deno.build.os === "linux") {
      // Another program looks, as Deno gives /proc to no one without all permissions.
      const { stdout, success } = await new Deno.Command("ls", {
        args: ["-l", `/proc/${Deno.pid}/fd`],
      })
        .output();
      const open = new TextDecoder().decode(stdout);
      assert.ok(success && /->/.test(open));
      assert.ok(!open.includes(folder), open);
    }
    const records = await journal.records("iteration-7/responses");
    assert.deepEqual([...records.keys()].sort(), ["a0", "a1", "b0", "b1"]);
  });
});

Deno.test("fileJournal() reads lines longer than the pieces it reads", async () => {
  await inTempFolder(async (folder) => {
    const texts = [0, 65_510, 65_536, 200_000, 1].map((length) => "é".repeat(length));
    for (const [index, text] of texts.entries()) {
      await fileJournal(folder).append("list", `${index}`, { text });
    }
    const records = await fileJournal(folder).records("list");
    assert.deepEqual([...records.values()], texts.map((text) => ({ text })));
  });
});

Deno.test("fileJournal() names the line of a list that is damaged elsewhere", async () => {
  await inTempFolder(async (folder) => {
    for (const line of ["{", "null", '{"n":1}', '{"key":1}', "\xff"]) {
      await Deno.writeTextFile(`${folder}/list.jsonl`, `{"key":"a"}\n${line}\n{"key":"b"}\n`);
      const journal = fileJournal(folder);
      await assert.rejects(journal.records("list"), {
        name: "SyntaxError",
        message: /list.jsonl:2/,
      });
    }
  });
});

Deno.test("fileJournal() does what memoryJournal() does", async () => {
  const json = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>;
  const step = fc.oneof(
    fc.tuple(
      fc.constant("append"),
      fc.constantFrom("l", "m"),
      fc.constantFrom("a", "b", "c"),
      json,
    ),
    fc.tuple(fc.constant("write"), fc.constantFrom("x", "y/z"), fc.uint8Array({ maxLength: 3 })),
    fc.tuple(fc.constant("remove"), fc.constantFrom("x", "y/z")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      await inTempFolder(async (folder) => {
        const file = fileJournal(folder);
        const outcomes = [file, memoryJournal()].map(async (root) => {
          const journal = root.within("in");
          const told: string[] = [];
          for (const [kind, name, ...rest] of steps as [string, string, ...unknown[]][]) {
            told.push(await act(journal, kind, name, rest));
          }
          const lists = await Promise.all(
            ["l", "m"].map(async (name) => [...await journal.records(name)]),
          );
          const blobs = await Promise.all(["x", "y/z"].map((name) => journal.read(name)));
          return { told, lists: JSON.stringify(lists), blobs };
        });
        const [ours, theirs] = await Promise.all(outcomes);
        assert.deepEqual(ours, theirs);
      });
    }),
    { numRuns: 50, seed: 4 },
  );
});

async function act(journal: Journal, kind: string, name: string, rest: unknown[]): Promise<string> {
  try {
    if (kind === "append") await journal.append(name, rest[0] as string, rest[1] as Json);
    if (kind === "write") await journal.write(name, rest[0] as Uint8Array);
    if (kind === "remove") await journal.remove(name);
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

Deno.test("lockFolder() keeps a second holder out and names the first", async () => {
  await inTempFolder(async (folder) => {
    const lock = await lockFolder(`${folder}/run`);
    await assert.rejects(lockFolder(`${folder}/run`), {
      message: new RegExp(`only one run at a time may: process ${Deno.pid} does`),
    });
    lock.release();
    (await lockFolder(`${folder}/run`)).release();
  });
});

Deno.test("lockFolder() takes over from a process that was killed", async () => {
  await inTempFolder(async (folder) => {
    const lock = new URL("../../cli/folder_lock.ts", import.meta.url).href;
    const program = `import { lockFolder } from ${JSON.stringify(lock)};
      await lockFolder(${JSON.stringify(folder)});
      console.log("held");
      setInterval(() => {}, 1000);`;
    const holder = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", program],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const output = holder.stdout.getReader();
    await output.read();
    await assert.rejects(lockFolder(folder), { message: new RegExp(`process ${holder.pid} does`) });
    holder.kill("SIGKILL");
    await holder.status;
    (await lockFolder(folder)).release();
    await output.cancel();
  });
});
