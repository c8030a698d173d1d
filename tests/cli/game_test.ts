import { strict as assert } from "node:assert";
import { readGameFile, type WholeGame } from "../../cli/game_file.ts";
import { gameFacts, horizonsTo, promptCycles, promptFacts } from "../../cli/game_report.ts";
import { parseFlags } from "../../cli/options/parse.ts";
import { gameOptions, scoreOptions } from "../../cli/options/tables.ts";
import { sharedPath, skipReason } from "../_shared.ts";
import { inTempFolder, sppo } from "./_run.ts";

const CYCLE = "0.5 0.9 0.3\n0.1 0.5 0.6\n0.7 0.4 0.5\n";

Deno.test("sppo game prints winners and gaps, and writes figures and pictures", async () => {
  await inTempFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/cycle.txt`, CYCLE);
    const args = ["game", "cycle.txt", "--rounds", "256", "--start", "0.6,0.3,0.1"];
    const { code, stdout, stderr } = await sppo([...args, "--plots", "p", "--json", "g.json"], {
      cwd,
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /von Neumann winner 2 0\.5714, 1 0\.2857, 0 0\.1429/);
    assert.match(stdout, /Condorcet winner +none/);
    assert.match(stdout, /cyclic triads +1 of 1/);
    assert.match(stdout, /^hedge +0\.0\d+ +0\.\d+ +-?\d\.\d{3}$/m);
    const { game, runs } = JSON.parse(await Deno.readTextFile(`${cwd}/g.json`));
    assert.equal(game.cyclic_triads, 1);
    assert.deepEqual(
      runs[0].gaps.map(({ rounds }: { rounds: number }) => rounds),
      [64, 128, 256],
    );
    for (const name of ["gap", "simplex"]) {
      assert.match(await Deno.readTextFile(`${cwd}/p/${name}.svg`), /^<svg /);
    }
  });
});

Deno.test("sppo game says why an algorithm cannot be played, and what is wrong with its input", async () => {
  await inTempFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/sure.txt`, "0 1 -1\n-1 0 1\n1 -1 0\n");
    const played = await sppo(
      ["game", "sure.txt", "--rounds", "8", "--algorithms", "sppo-scores"],
      { cwd },
    );
    assert.equal(played.code, 0, played.stderr);
    assert.match(played.stdout, /sppo-scores +Cannot give scores .* must be above 0 and below 1/);
    for (
      const [args, message] of [
        [["sure.txt", "--algorithms", "hodge"], /must be of hedge, .*: hodge/],
        [["sure.txt", "--start", "0.5,0.5"], /--start as it must be 3 positive numbers/],
        [["sure.txt", "other.txt"], /there must be one file: sure\.txt and other\.txt/],
        [["nowhere.txt"], /Cannot read nowhere\.txt as it must exist/],
        [[], /--file must be given/],
      ] as const
    ) {
      const { code, stderr } = await sppo(["game", ...args], { cwd });
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });
});

Deno.test("parseFlags() takes a bare word where the table has a place for it", () => {
  assert.deepEqual(parseFlags(gameOptions, ["g.txt", "--rounds", "8"]), {
    file: "g.txt",
    rounds: 8,
  });
  assert.throws(() => parseFlags(scoreOptions, ["g.txt"]), /must start with --: g\.txt/);
  const table = {
    runs: { type: "list", value: "RUN", group: "Data", help: "runs", positional: true },
  } as const;
  assert.deepEqual(parseFlags(table, ["a,b", "c"]), { runs: ["a,b", "c"] });
});

async function readText(name: string, text: string): Promise<ReturnType<typeof readGameFile>> {
  let read: Awaited<ReturnType<typeof readGameFile>> | undefined;
  await inTempFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    read = await readGameFile(`${folder}/${name}`);
  });
  return read!;
}

Deno.test("readGameFile() reads the preferences of a run as a game per prompt", async () => {
  const cycle = [[0.5, 0.9, 0.3], [0.1, 0.5, 0.6], [0.7, 0.4, 0.5]];
  const ladder = [[0.5, 0.8], [0.2, 0.5]];
  const lines = [cycle, ladder, [[0.5, null], [null, 0.5]]].map((preferences, index) =>
    JSON.stringify({ prompt_id: `${index}`, preferences, win_rates: [] })
  );
  const read = await readText("preferences.jsonl", lines.join("\n"));
  if (read.kind !== "prompts") throw new Error(read.kind);
  assert.equal(read.incomplete, 1);
  const facts = await promptFacts(read.prompts);
  assert.equal(facts.prompts, 2);
  // Uniform: rows' means .567, .4, .533 and .65, .35. Best answers: of the cycle 0, which loses .7 to 2.
  assert.ok(Math.abs(facts.uniform_gap - (0.2 / 3 + 0.15) / 2) < 1e-12);
  assert.ok(Math.abs(facts.borda_gap - (0.2 + 0) / 2) < 1e-12);
  assert.equal(facts.condorcet_share, 0.5);
  assert.equal(facts.von_neumann_support, 2);
  assert.deepEqual([facts.cyclic_triads, facts.triads], [1, 1]);
});

Deno.test("readGameFile() reads votes between models", async () => {
  const votes = [["a", "b", "model_a"], ["b", "a", "model_a"], ["a", "b", "tie (bothbad)"]];
  const lines = votes.map(([model_a, model_b, winner]) =>
    JSON.stringify({ model_a, model_b, winner })
  );
  const { game } = await readText("votes.jsonl", lines.join("\n")) as WholeGame;
  assert.deepEqual(game.answers, ["a", "b"]);
  assert.equal(game.preferences[1], 0.5);
  await assert.rejects(
    readText("votes.jsonl", '{"model_a":"a","model_b":"b","winner":"a"}'),
    /votes\.jsonl:1 as the winner must be model_a, model_b or a tie/,
  );
  await assert.rejects(readText("votes.jsonl", '{"a":1}'), /they have a$/);
});

Deno.test("horizonsTo() halves down to 64", () => {
  assert.deepEqual(horizonsTo(256), [64, 128, 256]);
  assert.deepEqual(horizonsTo(10), [10]);
});

/** Figures of two studies of GPT-4 as a judge, given with one decimal. */
for (
  const [name, inconsistent, both, complete, cyclic, triads] of [
    ["gpt4_vicuna_8x8", 38.6, 2227, 80, 5, 4480],
    ["gpt4_oasst_7x7", 27.6, 18599, 892, 116, 31220],
  ] as const
) {
  const relative = `data/pairwise/${name}.jsonl`, path = sharedPath(relative);
  Deno.test({
    name: `readGameFile() and gameFacts() give the figures of ${name}` +
      (path === undefined ? ` (${skipReason(relative)})` : ""),
    ignore: path === undefined,
    async fn() {
      const read = await readGameFile(path!) as WholeGame;
      assert.equal(read.orders!.both, both);
      assert.ok(Math.abs(100 * read.orders!.inconsistent / both - inconsistent) < 0.05);
      const facts = await gameFacts(read.game, read.votes);
      assert.match(facts.condorcet!, /gpt-?4/);
      assert.equal(facts.votes!.significant_cycles.length, 0);
      assert.deepEqual(promptCycles(read.prompts), { complete, triads, cyclic });
    },
  });
}
