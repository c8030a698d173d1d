import { strict as assert } from "node:assert";
import { journaledJudge } from "../../cli/judges/journaled_judge.ts";
import { memoryJournal } from "../../core/journal.ts";
import { lengthJudge, raterFacts } from "../../judges/mod.ts";
import { testOracle } from "../judges/conformance.ts";
import { readRatedFile } from "../../cli/rated_file.ts";
import { sharedPath, skipReason } from "../_shared.ts";
import { inTempFolder, sppo } from "./_run.ts";

/** Judges whatever is shown first as the better, with nine tenths. */
const FIRST = `export const oracle = {
  id: "first",
  async *compare(groups) {
    for (const { responses: { length: size } } of groups) {
      const preferences = Float64Array.from({ length: size * size }, (_, at) => {
        const i = Math.floor(at / size), j = at % size;
        return i === j ? 0.5 : i < j ? 0.9 : 0.1;
      });
      yield { size, preferences, mask: new Uint8Array(size * size).fill(1) };
    }
  },
};`;

Deno.test("sppo judge compare prints agreement, orders, cycles and lengths", async () => {
  await inTempFolder(async (cwd) => {
    const records = [
      {
        prompt: "Say.",
        responses: ["a", "bb", { text: "ccc" }],
        // The first two agree in no order; b beats c, c beats a.
        verdicts: [[null, 1, 2], [1, null, 1], [1, 2, null]],
      },
      { prompt: "Say more.", chosen: "longer", rejected: "long" },
      { prompt: "No labels.", responses: ["x", "yy"] },
    ];
    await Deno.writeTextFile(`${cwd}/in.jsonl`, records.map((r) => JSON.stringify(r)).join("\n"));
    await Deno.writeTextFile(`${cwd}/first.ts`, FIRST);
    const { code, stdout, stderr } = await sppo([
      ...["judge", "compare", "--input", "in.jsonl", "characters:9-", "./first.ts"],
      ...["--swap", "--json", "out.json"],
    ], { cwd });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /characters:9- +5 +0\.0 % +0\.0 % +50\.0 % +0 of 1 +3 +100\.0 %/);
    assert.match(stdout, /\.\/first\.ts +5 +100\.0 % +100\.0 % +90\.0 % +0 of 1 +3 +-/);
    assert.match(stdout, /labels +4 +25\.0 % +33\.3 % +66\.7 % +0 of 1 +2 +66\.7 %/);
    const { prompts, raters, agreements } = JSON.parse(await Deno.readTextFile(`${cwd}/out.json`));
    assert.equal(prompts, 3);
    assert.deepEqual(
      raters.map(({ orders }: { orders: { pairs: number } }) => orders.pairs),
      [5, 5, 3],
    );
    const [, length, first] = agreements;
    // Of the three decided labels two are for the longer response.
    assert.deepEqual(
      [length.one, length.other, length.pairs, length.decided, length.accuracy, length.same],
      ["characters:9-", "labels", 4, 3, 2 / 3, 0.5],
    );
    assert.deepEqual([first.accuracy, first.same], [0.5, 0.25]);
    // In both orders together it takes no side, which no temperature changes.
    assert.equal(first.temperature, null);
    assert.ok(length.temperature > 0 && Number.isFinite(length.temperature));
    assert.ok(!("temperature" in agreements[0]));
  });
});

Deno.test("sppo judge compare says what is wrong with its input", async () => {
  await inTempFolder(async (cwd) => {
    const write = (name: string, record: unknown) =>
      Deno.writeTextFile(`${cwd}/${name}`, JSON.stringify(record));
    await write("plain.jsonl", { prompt: "?", responses: ["a", "b"] });
    await write("verdicts.jsonl", { prompt: "?", verdicts: [[null, 1], [4, null]] });
    await write("empty.json", []);
    for (
      const [args, message] of [
        [["plain.jsonl"], /without judges its records must have labels .*: 1 have none/],
        [["verdicts.jsonl"], /a verdict must be 1, 2, 3 or null: 4/],
        [
          ["verdicts.jsonl", "json"],
          /must have responses, .* for a judge: it has prompt, verdicts/,
        ],
        [["empty.json"], /it must hold at least one record/],
        [["plain.jsonl", "jsom"], /Cannot read the judge "jsom"/],
      ] as const
    ) {
      const { code, stderr } = await sppo(["judge", "compare", "--input", ...args], { cwd });
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
  });
});

/** Figures of two studies of GPT-4 as a judge. */
for (
  const [name, both, inconsistent, complete, cyclic, triads] of [
    ["gpt4_vicuna_8x8", 2227, 38.6, 80, 5, 4480],
    ["gpt4_oasst_7x7", 18599, 27.6, 892, 116, 31220],
  ] as const
) {
  const relative = `data/pairwise/${name}.jsonl`, path = sharedPath(relative);
  Deno.test({
    name: `readRatedFile() and raterFacts() give the figures of ${name}` +
      (path === undefined ? ` (${skipReason(relative)})` : ""),
    ignore: path === undefined,
    async fn() {
      const { labels, orders } = await readRatedFile(path!, { judged: false, column: "prompt" });
      assert.equal(orders!.pairs, both);
      assert.ok(Math.abs(100 * orders!.inconsistent / both - inconsistent) < 0.05);
      const facts = raterFacts(labels!);
      assert.deepEqual([facts.complete, facts.cyclic, facts.triads], [complete, cyclic, triads]);
    },
  });
}

testOracle("journaledJudge()", {
  oracle: () => journaledJudge(lengthJudge({ min: 5, noise: 1 }), memoryJournal()),
});

Deno.test("sppo judge compare --journal asks a judge that failed nothing twice, in either order", () =>
  inTempFolder(async (cwd) => {
    // Says what it is asked, and fails at the fourth question of its first process.
    const counting = `let asked = 0;
      export const oracle = {
        id: "counting",
        async *compare(groups) {
          for (const { prompt, responses } of groups) {
            if (++asked > 3 && !exists("again")) throw new Error("gone");
            Deno.writeTextFileSync("asked", prompt.content + responses.map(({ text }) => text) + "\\n", { append: true });
            yield { size: 2, preferences: Float64Array.of(0.5, 0.9, 0.1, 0.5), mask: new Uint8Array(4).fill(1) };
          }
        },
      };
      const exists = (path) => { try { return Deno.statSync(path).isFile; } catch { return false; } };`;
    await Deno.writeTextFile(`${cwd}/counting.ts`, counting);
    const records = [1, 2, 3, 3].map((n) => ({ prompt: `${n}`, responses: ["a", "b"] }));
    await Deno.writeTextFile(`${cwd}/in.jsonl`, records.map((r) => JSON.stringify(r)).join("\n"));
    const args = [
      ...["judge", "compare", "--input", "in.jsonl", "./counting.ts", "--swap"],
      ...["--journal", "kept", "--json", "out.json"],
    ];
    const failed = await sppo(args, { cwd });
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stderr, /gone/);
    await Deno.writeTextFile(`${cwd}/again`, "");
    const done = await sppo(args, { cwd });
    assert.equal(done.code, 0, done.stderr);
    const asked = (await Deno.readTextFile(`${cwd}/asked`)).trim().split("\n");
    assert.deepEqual(asked, ["1a,b", "1b,a", "2a,b", "2b,a", "3a,b", "3b,a"]);
    // The orders of what was kept count too.
    const { raters } = JSON.parse(await Deno.readTextFile(`${cwd}/out.json`));
    assert.deepEqual(raters[0].orders.pairs, 4);
    assert.ok(Math.abs(raters[0].orders.first - 0.9) < 1e-12);
  }));
