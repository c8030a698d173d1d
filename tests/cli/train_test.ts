import { strict as assert } from "node:assert";
import { LOCK_FILE } from "../../cli/folder_lock.ts";
import { MEASURED_METRICS } from "../../cli/run_folder.ts";
import { ended, filesBelow, inTempFolder, sppo, startSppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const ARGS = [
  ...["train", "--model", "tiny", "--prompts", "prompts.jsonl", "--held-out", "2"],
  ...["--judge", "characters:6-9", "--iterations", "2", "--samples", "3", "--max-tokens", "10"],
  ...["--batch", "2", "--checkpoint-every", "1", "--learning-rate", "0.01", "--threads", "1"],
  ...["--eta", "20", "--epochs", "1"],
];

async function prepare(cwd: string): Promise<void> {
  await writeTinyModel(`${cwd}/tiny`);
  const records = Array.from(
    { length: 12 },
    (_, id) => JSON.stringify({ id, prompt: `Say ${id}.` }),
  );
  await Deno.writeTextFile(`${cwd}/prompts.jsonl`, records.join("\n"));
}

/** What two runs must have in common: all files, measured metrics aside. */
async function outcome(folder: string): Promise<Map<string, string>> {
  const files = await filesBelow(folder, [LOCK_FILE]);
  return new Map([...files].map(([path, bytes]) => {
    const text = path.endsWith(".safetensors")
      ? Array.from(bytes, (byte) => byte.toString(16)).join("")
      : new TextDecoder().decode(bytes);
    return [path, path === "metrics.jsonl" ? withoutMeasured(text) : text];
  }));
}

function withoutMeasured(text: string): string {
  return text.split("\n").filter((line) => line !== "").map((line) => {
    const record = JSON.parse(line) as Record<string, unknown>;
    for (const name of MEASURED_METRICS) delete record[name];
    return JSON.stringify(record);
  }).join("\n");
}

async function trainTo(out: string, cwd: string, more: readonly string[] = []): Promise<void> {
  const { code, stderr } = await sppo([...ARGS, "--out", out, ...more], { cwd });
  assert.equal(code, 0, stderr);
}

Deno.test("sppo train leaves the files that docs/cli.md lists", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    const { code, stdout, stderr } = await sppo([...ARGS, "--out", "run"], { cwd });
    assert.equal(code, 0, stderr);
    const rows = stdout.split("\n");
    assert.match(rows[0]!, /^iteration +wins\/previous +wins\/start +words +trained +loss +time$/);
    assert.match(rows[4]!, /^ +2 +\d+\.\d % ± \d+\.\d +\d+\.\d % ± \d+\.\d /);
    assert.match(stdout, /Peak memory [\d.]+ [MG]iB/);

    const files = await filesBelow(`${cwd}/run`, ["journal", LOCK_FILE]);
    assert.deepEqual([...files.keys()], [
      "config.json",
      ...[0, 1, 2].flatMap((n) => [
        ...n === 0 ? [] : [
          `iteration-${n}/adapter/adapter_config.json`,
          `iteration-${n}/adapter/adapter_model.safetensors`,
        ],
        `iteration-${n}/evaluation.json`,
        `iteration-${n}/held_out.jsonl`,
        ...n === 0
          ? []
          : ["pairs", "preferences", "responses"].map((name) => `iteration-${n}/${name}.jsonl`),
      ]),
      "metrics.jsonl",
      "run.json",
    ]);
    const records = (path: string) =>
      new TextDecoder().decode(files.get(path)).trimEnd().split("\n").map((line) =>
        JSON.parse(line)
      );
    // Nothing of the tiny model is encoded, so there was nothing to choose.
    assert.equal(JSON.parse(new TextDecoder().decode(files.get("run.json"))).precision, "float32");
    const responses = records("iteration-1/responses.jsonl");
    const preferences = records("iteration-1/preferences.jsonl");
    assert.equal(responses.length, 5); // half of the ten that are not held out
    for (const pair of records("iteration-1/pairs.jsonl")) {
      const index = responses.findIndex(({ prompt_id }) => prompt_id === pair.prompt_id);
      const { win_rates, preferences: table } = preferences[index];
      const texts = responses[index].responses.map(({ text }: { text: string }) => text);
      assert.deepEqual(Object.keys(pair), [
        ...["prompt_id", "chosen", "rejected"],
        ...["chosen_probs", "chosen_probs_win", "chosen_probs_lose"],
      ]);
      const best = win_rates.indexOf(Math.max(...win_rates));
      const worst = win_rates.indexOf(Math.min(...win_rates));
      assert.deepEqual(pair.chosen, [
        { role: "user", content: responses[index].prompt },
        { role: "assistant", content: texts[best] },
      ]);
      assert.equal(pair.rejected[1].content, texts[worst]);
      assert.equal(pair.chosen_probs, table[best][worst]);
      assert.equal(pair.chosen_probs_win, win_rates[best]);
      assert.equal(pair.chosen_probs_lose, win_rates[worst]);
    }
    const steps = records("metrics.jsonl").filter(({ step }) => step !== undefined);
    assert.ok(steps.length >= 2);
    assert.deepEqual(steps.map(({ global_step }) => global_step), steps.map((_, at) => at + 1));
    for (
      const name of ["loss", "learning_rate", "grad_norm", "rewards/margins", ...MEASURED_METRICS]
    ) {
      assert.equal(typeof steps[0][name], "number", name);
    }
    const adapter = JSON.parse(
      new TextDecoder().decode(files.get("iteration-2/adapter/adapter_config.json")),
    );
    assert.equal(adapter.base_model_name_or_path, "tiny");

    // The adapter is one that sppo generate takes, and the configuration one that --config takes.
    const generate = ["generate", "--model", "tiny", "--prompt", "a", "--max-tokens", "3"];
    const adapted = await sppo([...generate, "--adapter", "run/iteration-2/adapter"], { cwd });
    assert.equal(adapted.code, 0, adapted.stderr);
    const merged = await sppo(
      [...generate, "--adapter", "run/iteration-2/adapter", "--sampled-adapter", "merged"],
      { cwd },
    );
    assert.equal(merged.code, 0, merged.stderr);
    const idsOf = (stdout: string) => JSON.parse(stdout).responses[0].token_ids;
    assert.deepEqual(idsOf(merged.stdout), idsOf(adapted.stdout));
    const again = await sppo(["train", "--config", "run/config.json", "--out", "run"], { cwd });
    assert.equal(again.code, 0, again.stderr);
  });
});

Deno.test("sppo train of all weights leaves a model that sppo generate takes", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await trainTo("run", cwd, [
      ...["--trainable", "all", "--iterations", "1", "--held-out", "1", "--loss", "sft"],
    ]);
    const { selection } = JSON.parse(await Deno.readTextFile(`${cwd}/run/config.json`));
    assert.equal(selection, "best");
    for (
      const line of (await Deno.readTextFile(`${cwd}/run/metrics.jsonl`)).trimEnd().split("\n")
    ) {
      assert.ok(!("logps/rejected" in JSON.parse(line)), line); // only the best was trained on
    }
    const files = await filesBelow(`${cwd}/run/iteration-1/model`);
    assert.deepEqual([...files.keys()], [
      ...["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
    ]);
    const generate = ["generate", "--model", "run/iteration-1/model", "--prompt", "a"];
    const { code, stderr } = await sppo([...generate, "--max-tokens", "3"], { cwd });
    assert.equal(code, 0, stderr);
  });
});

/** llama2.c's tokenizer of 259 pieces: three controls and the bytes. */
function byteTokenizer(): Uint8Array {
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  const pieces = ["<unk>", "\n<s>\n", "\n</s>\n", ...Array.from({ length: 256 }, (_, b) => hex(b))];
  const bytes = [7, 0, 0, 0]; // the longest piece
  for (const piece of pieces) bytes.push(0, 0, 0, 0, piece.length, 0, 0, 0, ...encode(piece));
  return Uint8Array.from(bytes);
}

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("sppo train of all weights keeps llama2.c's tokenizer, and refuses to start without one", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await Deno.writeFile(`${cwd}/tok259.bin`, byteTokenizer());
    await Deno.remove(`${cwd}/tiny/tokenizer.json`);
    const args = ["--trainable", "all", "--iterations", "1", "--held-out", "1"];
    const without = await sppo([...ARGS, "--out", "run", ...args], { cwd });
    assert.equal(without.code, 2);
    assert.match(
      without.stderr,
      /^sppo train: Cannot train all weights as the tokenizer's file must/,
    );
    await trainTo("run", cwd, [...args, "--tokenizer", "tok259.bin"]);
    const files = await filesBelow(`${cwd}/run/iteration-1/model`);
    assert.deepEqual([...files.keys()], ["config.json", "model.safetensors", "tok259.bin"]);
    const generate = ["generate", "--model", "run/iteration-1/model", "--prompt", "a"];
    const { code, stderr } = await sppo([...generate, "--max-tokens", "3"], { cwd });
    assert.equal(code, 0, stderr);
  });
});

Deno.test("sppo train killed in every kind of change to a file continues to the same bytes", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await trainTo("whole", cwd);
    const log = `${cwd}/changes.txt`;
    const logged = await sppo([...ARGS, "--out", "logged"], {
      cwd,
      crashing: { SPPO_LOG_CHANGES: log },
    });
    assert.equal(logged.code, 0, logged.stderr);
    const expected = await outcome(`${cwd}/whole`);
    assert.deepEqual(await outcome(`${cwd}/logged`), expected);

    const lines = (await Deno.readTextFile(log)).trimEnd().split("\n");
    const changes = [...new Set(lines)].filter((change) => / logged\/(?!\.lock)/.test(change))
      .map((change) => change.replace(" logged/", " killed/"));
    for (const stage of ["responses", "judgements", "fit", "policy", "adapter", "evaluation"]) {
      for (const kind of ["write", "rename"]) {
        if (stage === "judgements" && kind === "rename") continue; // a list
        const found = (change: string) => change.startsWith(kind) && change.includes(stage);
        assert.ok(changes.some(found), `${kind} ${stage}`);
      }
    }
    assert.ok(changes.some((change) => change.startsWith("remove ")));
    // The second iteration changes what the first does. A crash between a step's metrics and its
    // checkpoint must neither lose nor repeat a line.
    const crashes = changes.filter((change) => !/(iteration-|evaluation\/)2\//.test(change))
      .flatMap((change) =>
        /^write .*fit\.safetensors\.tmp$/.test(change)
          ? [change, "write killed/metrics.jsonl"]
          : [change]
      );
    for (const change of crashes) {
      const killed = await sppo([...ARGS, "--out", "killed"], {
        cwd,
        crashing: { SPPO_CRASH_AT: change },
      });
      assert.equal(killed.signal, "SIGKILL", `${change}: ${killed.stderr}`);
    }
    await trainTo("killed", cwd);
    assert.deepEqual(await outcome(`${cwd}/killed`), expected);
  });
});

Deno.test("sppo train goes on sampling as run.json says it began, to the same bytes", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    const merged = ["--sampled-adapter", "merged"];
    await trainTo("whole", cwd, merged);
    const expected = await outcome(`${cwd}/whole`);
    const facts = JSON.parse(expected.get("run.json")!);
    assert.deepEqual([facts.precision, facts.sampled_adapter], ["float32", "merged"]);
    const killed = await sppo([...ARGS, ...merged, "--out", "killed"], {
      cwd,
      crashing: { SPPO_CRASH_AT: "rename killed/iteration-1/evaluation.json" },
    });
    assert.equal(killed.signal, "SIGKILL", killed.stderr);
    await trainTo("killed", cwd, merged);
    assert.deepEqual(await outcome(`${cwd}/killed`), expected);

    // So few steps are not worth merging for; what a run found so is not measured again.
    const auto = await sppo([...ARGS, "--out", "auto"], {
      cwd,
      crashing: { SPPO_CRASH_AT: "rename auto/iteration-1/evaluation.json" },
    });
    assert.equal(auto.signal, "SIGKILL", auto.stderr);
    const begun = await Deno.readTextFile(`${cwd}/auto/run.json`);
    assert.equal(JSON.parse(begun).sampled_adapter, "apart");
    const other = begun.replace('"apart"', '"merged"');
    await Deno.writeTextFile(`${cwd}/auto/run.json`, other);
    await trainTo("auto", cwd);
    assert.equal(await Deno.readTextFile(`${cwd}/auto/run.json`), other);
    const asked = await sppo([...ARGS, "--out", "auto", "--sampled-adapter", "apart"], { cwd });
    assert.match(asked.stderr, /as its settings must stay: --sampled-adapter apart \(was auto\)/);
  });
});

Deno.test("sppo train on a full disk says so, and continues to the same bytes with room", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await trainTo("whole", cwd);
    for (const maxFileKiB of [1, 4, 16, 24]) {
      const full = await sppo([...ARGS, "--out", "full"], { cwd, maxFileKiB });
      const said = full.stderr.trimEnd().split("\n").at(-1)!;
      assert.equal(full.code, 1, `${maxFileKiB}: ${full.stderr}`);
      assert.match(said, /^sppo train: Cannot write full\/.* as the disk must have room/);
    }
    await trainTo("full", cwd);
    assert.deepEqual(await outcome(`${cwd}/full`), await outcome(`${cwd}/whole`));
  });
});

Deno.test("sppo train with more iterations goes on, and with other settings refuses", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await trainTo("run", cwd);
    const two = await outcome(`${cwd}/run`);
    const other = await sppo([...ARGS, "--out", "run", "--samples", "4", "--eta", "3"], { cwd });
    assert.equal(other.code, 2);
    assert.match(other.stderr, /--samples 4 \(was 3\), --eta 3 \(was 20\); take another --out/);
    const fewer = await sppo(["train", "--out", "run", "--iterations", "1"], { cwd });
    assert.match(fewer.stderr, /--iterations 1 \(was 2\)/);
    assert.deepEqual(await outcome(`${cwd}/run`), two);

    const more = await sppo(["train", "--out", "run", "--iterations", "3"], { cwd });
    assert.equal(more.code, 0, more.stderr);
    const three = await outcome(`${cwd}/run`);
    for (const [path, text] of two) {
      if (path.startsWith("iteration-")) assert.equal(three.get(path), text, path);
    }
    assert.ok(three.has("iteration-3/adapter/adapter_model.safetensors"));

    await Deno.writeTextFile(`${cwd}/prompts.jsonl`, '\n{"id":99,"prompt":"New."}', {
      append: true,
    });
    const prompts = await sppo(["train", "--out", "run"], { cwd });
    assert.equal(prompts.code, 2);
    assert.match(prompts.stderr, /prompts sha256:\w+ \(was sha256:/);
  });
});

Deno.test("sppo train is kept out of a folder in use, and Ctrl-C says how to continue", async () => {
  await inTempFolder(async (cwd) => {
    await prepare(cwd);
    await Deno.writeTextFile(
      `${cwd}/slow.ts`,
      `export const judge = {
         id: "slow",
         async *compare(_groups, { signal } = {}) {
           Deno.writeTextFileSync("judging", "");
           await new Promise((_, reject) => {
             const timer = setInterval(() => {}, 1000);
             signal.addEventListener("abort", () => {
               clearInterval(timer);
               reject(signal.reason);
             });
           });
         },
       };`,
    );
    const args = [
      ...ARGS.map((word) => word === "characters:6-9" ? "slow.ts" : word),
      "--out",
      "run",
    ];
    const first = startSppo(args, { cwd });
    const over = ended(first);
    while (!await Deno.stat(`${cwd}/judging`).then(() => true, () => false)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const second = await sppo(args, { cwd });
    assert.equal(second.code, 2);
    assert.match(
      second.stderr,
      new RegExp(`only one run at a time may: process ${first.pid} does`),
    );
    first.kill("SIGINT");
    const { code, stderr } = await over;
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /interrupted; what was finished is in run; to continue: sppo train --out run/,
    );
  });
});
