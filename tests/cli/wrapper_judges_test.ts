import { strict as assert } from "node:assert";
import { openKeptLines } from "../../cli/kept_lines.ts";
import { openPairFile } from "../../cli/pair_file.ts";
import { ended, inTempFolder, sppo, startSppo } from "./_run.ts";

const COUNTING = `
import { appendFileSync } from "node:fs";
export const oracle = {
  id: "counting",
  async *compare(groups) {
    for (const { responses, pairs } of groups) {
      const size = responses.length, mask = new Uint8Array(size * size).fill(1);
      appendFileSync("asked", "x".repeat(pairs?.length ?? size * (size - 1) / 2));
      const longer = (i, j) => 1 / (1 + Math.exp(responses[j].text.length - responses[i].text.length));
      const preferences = Float64Array.from(mask, (_, at) => longer(Math.floor(at / size), at % size));
      yield { size, preferences, mask };
    }
  },
};`;

Deno.test("sppo judge takes wrappers, over modules too, and a cache keeps its file", () =>
  inTempFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/counting.mjs`, COUNTING);
    await Deno.writeTextFile(`${cwd}/in.jsonl`, '{"prompt":"p","responses":["a","bbb","cc"]}\n');
    const judge = async (form: string) => {
      const { code, stdout, stderr } = await sppo(
        ["judge", "--judge", form, "--input", "in.jsonl"],
        { cwd },
      );
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout).preferences as number[][];
    };
    const asked = async () => (await Deno.stat(`${cwd}/asked`)).size;
    const cached = "cached(module:./counting.mjs)@file=kept/pairs.jsonl";
    const there = await judge(`tempered(${cached})@temperature=2`);
    assert.ok(Math.abs(there[1]![2]! - 1 / (1 + Math.exp(-0.5))) < 1e-12);
    assert.equal(await asked(), 3);
    assert.deepEqual(await judge(`tempered(${cached})@temperature=2`), there);
    assert.equal(await asked(), 3);
    assert.deepEqual(
      await judge(`majority(${cached}; length:3-; length:-2)`),
      [[0.5, 0, 0], [1, 0.5, 1], [1, 0, 0.5]],
    );
    assert.equal(await asked(), 3);
    assert.deepEqual((await judge(`swap(module:./counting.mjs)`))[0]![0], 0.5);
    assert.equal(await asked(), 9);

    using _held = openKeptLines(`${cwd}/kept/pairs.jsonl`);
    const refused = await ended(
      startSppo(["judge", "--judge", cached, "--input", "in.jsonl"], { cwd }),
    );
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /Cannot use kept\/pairs\.jsonl as only one judge at a time may/);
  }));

Deno.test("openKeptLines() cuts a torn line off, names a damaged one, and keeps what is appended", () =>
  inTempFolder((cwd) => {
    const path = `${cwd}/lines.jsonl`;
    Deno.writeTextFileSync(path, '{"a":1}\n\n{"a":2}\n{"a":');
    {
      using lines = openKeptLines(path);
      assert.deepEqual(lines.records, [
        { value: { a: 1 }, where: `${path}:1` },
        { value: { a: 2 }, where: `${path}:3` },
      ]);
      lines.append({ a: "ü\u2028" });
    }
    assert.equal(Deno.readTextFileSync(path), '{"a":1}\n\n{"a":2}\n{"a":"ü\u2028"}\n');
    Deno.writeTextFileSync(path, "{}\n{\n");
    assert.throws(() => openKeptLines(path), /lines\.jsonl:2 as each line must be JSON: \{$/);
    Deno.writeTextFileSync(path, '{"key":"a","preference":2}\n');
    assert.throws(() => openPairFile(path), /lines\.jsonl:1 as it must have key and preference/);
    // Whoever failed has let go of it.
    Deno.writeTextFileSync(path, '{"key":"a","preference":1,"logits":[1,2]}\n');
    using pairs = openPairFile(path);
    assert.deepEqual(pairs.get("a"), { preference: 1, logits: [1, 2] });
    return Promise.resolve();
  }));
