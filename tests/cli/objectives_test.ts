import assert from "node:assert/strict";
import { type ObjectiveName, objectives } from "../../core/mod.ts";
import { parseFlags } from "../../cli/options/parse.ts";
import { presets, trainOptions } from "../../cli/options/train_options.ts";
import { readPairs } from "../../cli/pairs.ts";
import { settleTrain } from "../../cli/train/settle_train.ts";
import { inTempFolder, sppo, sppoMany } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const TINY = ["--model", "tiny", "--threads", "1", "--max-tokens", "6", "--lora-rank", "2"];
const FAST = ["--iterations", "1", "--batch", "4", "--learning-rate", "0.01"];
const JUDGED = ["--prompts", "prompts.jsonl", "--judge", "characters:3-4"];
const GIVEN = ["--pairs", "pairs.jsonl"];

/** What each objective is run with; beside its defaults. */
const ARGS: { readonly [N in ObjectiveName]: readonly string[] } = {
  sppo: [...JUDGED, "--selection", "all", "--eta-schedule", "horizon", "--iterations", "2"],
  "sppo-hard": GIVEN,
  "sppo-single": [...JUDGED, "--held-out", "1"],
  gpo: [...JUDGED.with(-1, "logits.ts")],
  sft: [...GIVEN, "--judge", "none"],
  spin: [...GIVEN, "--iterations", "2"],
  "spin-hinge": GIVEN,
  dpo: [...JUDGED, "--iterations", "2", "--label-smoothing", "0.1"],
  "dpo-hinge": GIVEN,
  robust: [...GIVEN, "--reference", "start"],
  ipo: [...GIVEN, "--beta", "0.2", "--judge", "characters:3-4", "--held-out", "1"],
  "ipo-mean": GIVEN,
  "kto-pair": GIVEN,
  simpo: [...GIVEN, "--margin", "0.3"],
  orpo: GIVEN,
  "online-dpo": [...JUDGED, "--iterations", "2"],
  rlhf: [...JUDGED.with(-1, "logits.ts"), "--reward", "score", "--iterations", "2"],
  // All prompts twice: of few short answers all pairs may be ties.
  "nash-md": [
    ...[...JUDGED, "--iterations", "2", "--mixture", "0.3"],
    ...["--prompts-per-iteration", "repeat"],
  ],
  "best-of-n": [...JUDGED, "--held-out", "2", "--samples", "3", "--eval-samples", "2"],
};

/** A Bradley–Terry judge of lengths, which has logits. */
const LOGITS_JUDGE = `
export const judge = {
  id: "longer",
  async *compare(groups) {
    for (const { responses } of groups) {
      const size = responses.length;
      const cells = (of) => Float64Array.from(
        { length: size * size },
        (_, at) => of(responses[Math.floor(at / size)].text.length - responses[at % size].text.length),
      );
      yield {
        size,
        preferences: cells((difference) => 1 / (1 + Math.exp(-difference))),
        mask: new Uint8Array(size * size).fill(1),
        logits: cells((difference) => difference / 2),
      };
    }
  },
};`;

async function prepare(cwd: string): Promise<void> {
  await writeTinyModel(`${cwd}/tiny`);
  const lines = (of: (id: number) => unknown) =>
    Array.from({ length: 6 }, (_, id) => JSON.stringify(of(id))).join("\n");
  await Deno.writeTextFile(
    `${cwd}/prompts.jsonl`,
    lines((id) => ({ id, prompt: `Say ${id}.` })),
  );
  await Deno.writeTextFile(
    `${cwd}/pairs.jsonl`,
    lines((id) => ({
      prompt_id: id,
      chosen: [{ role: "user", content: `Say ${id}.` }, { role: "assistant", content: `${id}` }],
      rejected: [{ role: "user", content: `Say ${id}.` }, { role: "assistant", content: "no no" }],
    })),
  );
  await Deno.writeTextFile(`${cwd}/logits.ts`, LOGITS_JUDGE);
}

async function metricsOf(folder: string): Promise<Record<string, number>[]> {
  const text = await Deno.readTextFile(`${folder}/metrics.jsonl`);
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("sppo train runs each objective from one command", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    const commands = Object.entries(ARGS).map(([name, args]) => [
      ...["train", "--loss", name, ...TINY, ...FAST, ...args, "--out", name],
    ]);
    const ran = await sppoMany(commands, { cwd });
    assert.equal(ran.code, 0, ran.stderr);
    for (const [name, objective] of Object.entries(objectives)) {
      const args = ARGS[name as ObjectiveName];
      const metrics = await metricsOf(`${cwd}/${name}`);
      const steps = metrics.filter(({ step }) => step !== undefined);
      assert.equal(steps.length > 0, objective.loss !== undefined, name);
      for (const step of steps) {
        assert.ok(Number.isFinite(step.loss), name);
        assert.ok(Number.isFinite(step["logps/chosen"]), name);
        const pairs = objective.selections[0] !== "best" && name !== "sft";
        assert.equal(step["rewards/margins"] !== undefined, pairs, name);
      }
      const moved = steps.some(({ grad_norm }) => grad_norm! > 0);
      assert.equal(moved, objective.loss !== undefined, name);
      if (name === "rlhf" || name === "nash-md") {
        const last = metrics.findLast((record) => "reward" in record)!;
        assert.ok(Number.isFinite(last.reward) && last.kl !== 0, name);
      }
      const evaluated = metrics.filter((record) => "eval_win_rate/start" in record);
      assert.equal(evaluated.length, args.includes("--held-out") ? 1 : 0, name);
    }
    const { eta, beta } = JSON.parse(await Deno.readTextFile(`${cwd}/ipo/config.json`));
    assert.deepEqual([eta, beta], [5, undefined]);

    // One picture of runs with and without a judge, of pairs and of policy gradients.
    const runs = ["sppo-single", "ipo", "dpo", "rlhf", "best-of-n"];
    const compared = await sppo(["compare", ...runs, "--output", "all.svg"], { cwd });
    assert.equal(compared.code, 0, compared.stderr);
    const svg = await Deno.readTextFile(`${cwd}/all.svg`);
    for (const text of [...runs, "eval_win_rate/start", "log_ratios/chosen", "rewards/margins"]) {
      assert.ok(svg.includes(`>${text}<`), text);
    }
    const table = compared.stdout.trimEnd().split("\n");
    assert.match(table[0]!, /^ *run +eval_win_rate\/start +log_ratios\/chosen/);
    assert.match(table.find((line) => line.includes("best-of-n"))!, /best-of-n +[\d.]+ +- /);
    for (
      const [args, message] of [
        [["ipo", "ipo"], /as each must be another: ipo is given twice/],
        [["ipo", "tiny"], /Cannot read tiny\/metrics.jsonl as it must exist/],
        [
          ["ipo", "--metrics", "lost"],
          /--metrics as a run must have measured each: lost; there are/,
        ],
      ] as const
    ) {
      const { code, stderr } = await sppo(["compare", ...args], { cwd });
      assert.equal(code, 2);
      assert.match(stderr, message);
    }

    // η/√T of all iterations would change with T.
    const longer = await sppo(["train", "--out", "sppo", "--iterations", "3"], { cwd });
    assert.equal(longer.code, 2);
    assert.match(
      longer.stderr,
      /--iterations 3 \(was 2\), which --eta-schedule horizon divides by/,
    );

    // A run without a judge continues from its folder alone; other pairs are refused.
    const again = await sppo(["train", "--out", "robust"], { cwd });
    assert.equal(again.code, 0, again.stderr);
    const pairs = await Deno.readTextFile(`${cwd}/pairs.jsonl`);
    await Deno.writeTextFile(`${cwd}/pairs.jsonl`, pairs.replace("no no", "no"));
    const other = await sppo(["train", "--out", "robust"], { cwd });
    assert.equal(other.code, 2);
    assert.match(other.stderr, /Cannot continue robust as its settings must stay: pairs sha256/);
  });
});

Deno.test("docs/objectives.md has a row for each objective, with its paper", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/objectives.md", import.meta.url));
  for (const [name, { paper }] of Object.entries(objectives)) {
    const row = text.split("\n").find((line) => line.startsWith(`| \`${name}\` `));
    assert.ok(row !== undefined, name);
    const [number] = /\d{4}\.\d{5}/.exec(paper) ?? [];
    assert.ok(number === undefined || row.includes(number) || row.includes("the same"), row);
  }
});

/** Options that make no sense together. */
const SENSELESS: readonly [readonly string[], RegExp][] = [
  [["--loss", "rlhf", ...GIVEN], /--pairs as --loss rlhf trains on the policy's own responses/],
  [["--loss", "spin", ...JUDGED], /--pairs must be given: --loss spin learns from the chosen/],
  [["--loss", "dpo", ...GIVEN, ...JUDGED], /--prompts as --pairs has prompts of its own/],
  [["--loss", "sppo", "--prompts", "p.jsonl"], /--judge must be given: --loss sppo trains on/],
  [["--loss", "dpo", ...JUDGED.with(-1, "none")], /--judge must be given/],
  [["--loss", "dpo", "--judge", "longer"], /--prompts must be given/],
  [["--loss", "orpo", ...GIVEN, "--held-out", "2"], /--held-out as evaluating needs a judge: 2/],
  [["--loss", "dpo", ...GIVEN, "--margin", "1"], /--margin as --loss dpo.* does not read it: 1/],
  [["--loss", "simpo", ...GIVEN, "--reference", "start"], /--reference as --loss simpo/],
  [["--loss", "dpo", ...JUDGED, "--eta-schedule", "decay"], /--eta-schedule as --loss dpo does/],
  [["--loss", "dpo", ...JUDGED, "--normalizer", "sample"], /--normalizer as --loss dpo does/],
  [["--loss", "dpo", ...GIVEN, "--estimator", "scores"], /--estimator as --loss dpo from a file/],
  [["--loss", "ipo", ...GIVEN, "--eta", "2", "--beta", "1"], /--beta as it is 1 over --eta/],
  [
    ["--loss", "dpo", ...JUDGED, "--selection", "all"],
    /--selection as --loss dpo must have best-w/,
  ],
  [["--loss", "dpo", ...GIVEN, "--selection", "all"], /--selection as there is nothing to select/],
  [["--loss", "sppo", ...JUDGED, "--samples", "1"], /--samples as at least 2 responses must be/],
  [["--loss", "best-of-n", ...JUDGED], /--held-out must be given: --loss best-of-n trains nothing/],
];

Deno.test("settleTrain() refuses combinations that make no sense", () => {
  for (const [args, message] of SENSELESS) {
    const flags = parseFlags(trainOptions, [...args, ...TINY, "--out", "run"]);
    assert.throws(() => settleTrain([flags]), { message }, args.join(" "));
  }
});

Deno.test("settleTrain() takes beta or eta, whichever was given first, and the objective's otherwise", () => {
  const eta = (args: readonly string[], recorded = {}) =>
    settleTrain([parseFlags(trainOptions, [...args, ...TINY, "--out", "run"]), recorded]).values
      .eta;
  assert.equal(eta(["--loss", "dpo", ...GIVEN]), 10);
  assert.equal(eta(["--loss", "dpo", ...GIVEN, "--beta", "0.25"]), 4);
  assert.equal(eta(["--loss", "dpo", ...GIVEN, "--beta", "0.25"], { eta: 7 }), 4);
  assert.equal(eta(["--loss", "dpo", ...GIVEN], { eta: 7 }), 7);
  assert.equal(eta(["--loss", "sppo", ...JUDGED]), presets.lora.eta);
  assert.equal(eta(["--loss", "sppo", ...JUDGED, "--preset", "paper"]), 1000);
});

Deno.test("sppo train refuses pairs that are none, and judges that do not say enough, in one line", async () => {
  const cases: [string[], RegExp][] = [
    [["--loss", "sppo", ...GIVEN], /the pair of prompt "0" as it must have the win rates of both/],
    [["--loss", "rlhf", ...JUDGED, "--reward", "score"], /must give logits/],
    [
      ["--loss", "dpo", "--pairs", "demonstrations.jsonl"],
      /record 1 of demonstrations.jsonl as it must/,
    ],
  ];
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await Deno.writeTextFile(
      `${cwd}/demonstrations.jsonl`,
      JSON.stringify({ messages: say("Hi", "Ho") }),
    );
    for (const [args, message] of cases) {
      const { code, stderr } = await sppo(["train", ...args, ...TINY, "--out", "run"], { cwd });
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
    }
  });
});

const say = (content: string, answer: string) => [
  ...[{ role: "user", content }, { role: "assistant", content: answer }],
];

Deno.test("readPairs() reads the forms that runs, SPPO's data and TRL's have", async () => {
  const expected = {
    prompt: { id: "x", content: "Hi" },
    chosen: { text: "Ho" },
    rejected: { text: "He" },
  };
  const system = { role: "system", content: "Be kind." };
  const cases: [Record<string, unknown>, Record<string, unknown>][] = [
    [{ chosen: say("Hi", "Ho"), rejected: say("Hi", "He") }, expected],
    [{ prompt: "Hi", chosen: "Ho", rejected: "He" }, expected],
    [{ prompt: "Hi", chosen: say("Hi", "Ho"), rejected: say("Hi", "He") }, expected],
    [
      {
        prompt: [system, say("Hi", "")[0]],
        chosen: [say("Hi", "Ho")[1]],
        rejected: [say("Hi", "He")[1]],
      },
      { ...expected, prompt: { id: "x", content: [system, say("Hi", "")[0]] } },
    ],
    [
      { prompt: "Hi", chosen: { text: "Ho", token_ids: [1, 2] }, rejected: "He" },
      { ...expected, chosen: { text: "Ho", tokenIds: [1, 2] } },
    ],
    [
      {
        ...{ prompt: "Hi", chosen: "Ho", rejected: "He" },
        ...{ chosen_probs: 0.75, chosen_probs_win: 0.7, chosen_probs_lose: 0.2 },
      },
      { ...expected, winRates: [0.7, 0.2], preference: 0.75 },
    ],
    [{ messages: say("Hi", "Ho") }, { prompt: expected.prompt, chosen: expected.chosen }],
    [{ prompt: "Hi", completion: "Ho" }, { prompt: expected.prompt, chosen: expected.chosen }],
  ];
  const refused: [Record<string, unknown>, RegExp][] = [
    [{ chosen: say("Hi", "Ho"), rejected: say("Ha", "He") }, /:1 as both responses must be to one/],
    [{ prompt: "Hi" }, /:1 as it must have a chosen response: it has/],
    [{ prompt: "Hi", chosen: [system] }, /as its last message must be the assistant's/],
    [{ prompt: "Hi", chosen: "a", chosen_probs: 2 }, /as chosen_probs must be in \[0, 1\]: 2/],
  ];
  await inTempFolder(async (cwd) => {
    const read = async (record: Record<string, unknown>) => {
      await Deno.writeTextFile(`${cwd}/p.jsonl`, JSON.stringify({ prompt_id: "x", ...record }));
      return await readPairs(`${cwd}/p.jsonl`, "prompt");
    };
    for (const [record, pair] of cases) assert.deepEqual((await read(record)).records, [pair]);
    for (const [record, message] of refused) await assert.rejects(read(record), { message });
  });
});
