import { strict as assert } from "node:assert";
import { VERSION } from "../../cli/version.ts";
import { type Ended, inTempFolder, sppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

function lines(text: string): Record<string, unknown>[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

function succeeded(ended: Ended): Ended {
  assert.equal(ended.code, 0, ended.stderr);
  return ended;
}

Deno.test("sppo generate writes responses that sppo score and sppo judge read", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await Deno.writeTextFile(`${cwd}/prompts.txt`, "Why?\nHow so?\n");
    const common = ["--model", "tiny", "--threads", "1"];
    const sampling = ["--samples", "3", "--max-tokens", "6", "--seed", "5"];
    const generate = ["generate", ...common, "--input", "prompts.txt", ...sampling];
    const { stdout } = succeeded(await sppo(generate, { cwd }));
    const records = lines(stdout) as {
      prompt_id: string;
      prompt: string;
      responses: { text: string; token_ids: number[]; log_prob: number; finish_reason: string }[];
    }[];
    assert.deepEqual(records.map(({ prompt }) => prompt), ["Why?", "How so?"]);
    for (const { responses } of records) {
      assert.equal(responses.length, 3);
      for (const { token_ids, log_prob, finish_reason } of responses) {
        assert.ok(token_ids.length <= 6 && log_prob < 0);
        assert.ok(finish_reason === "length" || token_ids.at(-1) === 256);
      }
    }
    await Deno.writeTextFile(`${cwd}/responses.jsonl`, stdout);

    // The same seed gives the same, and scoring what was sampled gives its log-probability.
    await sppo([...generate, "--output", "again.jsonl"], { cwd });
    assert.equal(await Deno.readTextFile(`${cwd}/again.jsonl`), stdout);
    const flat = records.flatMap(({ prompt, responses }) =>
      responses.map(({ token_ids, finish_reason }) => ({ prompt, token_ids, finish_reason }))
    );
    await Deno.writeTextFile(
      `${cwd}/flat.jsonl`,
      flat.map((one) => JSON.stringify(one)).join("\n"),
    );
    const scored = lines(
      succeeded(await sppo(["score", ...common, "--input", "flat.jsonl"], { cwd })).stdout,
    ) as { log_prob: number; token_ids: number[]; prompt_token_ids: number[] }[];
    const sampled = records.flatMap(({ responses }) => responses);
    scored.forEach(({ log_prob, token_ids, prompt_token_ids }, index) => {
      assert.ok(Math.abs(log_prob - sampled[index]!.log_prob) < 1e-3, `${index}`);
      assert.deepEqual(token_ids, sampled[index]!.token_ids);
      assert.equal(prompt_token_ids.at(-1), 258);
    });

    const judge = ["judge", "--judge", "characters:0-3", "--input", "responses.jsonl"];
    const judged = lines(succeeded(await sppo(judge, { cwd })).stdout) as {
      responses: unknown;
      preferences: number[][];
      win_rates: number[];
    }[];
    judged.forEach(({ responses, preferences, win_rates }, index) => {
      assert.deepEqual(responses, records[index]!.responses);
      preferences.forEach((row, i) => {
        row.forEach((p, j) => assert.ok(Math.abs(p + preferences[j]![i]! - 1) < 1e-12));
        const mean = row.reduce((sum, p) => sum + p, 0) / row.length;
        assert.ok(Math.abs(mean - win_rates[i]!) < 1e-12);
      });
    });
  });
});

Deno.test("sppo judge takes a module of the user's own", async () => {
  await inTempFolder(async (cwd) => {
    await Deno.writeTextFile(
      `${cwd}/mine.ts`,
      `export const judge = () => ({
         id: "mine",
         async *compare(groups) {
           for (const { responses } of groups) {
             const size = responses.length;
             yield {
               size,
               preferences: Float64Array.from({ length: size * size }, (_, at) => {
                 const i = Math.floor(at / size), j = at % size;
                 return i === j ? 0.5 : i < j ? 0.75 : 0.25;
               }),
               mask: new Uint8Array(size * size).fill(1),
             };
           }
         },
       });`,
    );
    await Deno.writeTextFile(
      `${cwd}/in.jsonl`,
      '{"prompt":"?","responses":["a",{"text":"b"}],"n":1}',
    );
    const ended = succeeded(
      await sppo(["judge", "--judge", "mine.ts", "--input", "in.jsonl"], { cwd }),
    );
    assert.deepEqual(lines(ended.stdout), [{
      prompt: "?",
      responses: ["a", { text: "b" }],
      n: 1,
      preferences: [[0.5, 0.75], [0.25, 0.5]],
      win_rates: [0.625, 0.375],
    }]);
  });
});

Deno.test("sppo judge says at which prompt a user's module failed", async () => {
  await inTempFolder(async (cwd) => {
    await Deno.writeTextFile(
      `${cwd}/mine.ts`,
      `export const judge = { id: "mine", async *compare() { throw new Error("out of paper"); } };`,
    );
    await Deno.writeTextFile(`${cwd}/in.jsonl`, '{"id":"7","prompt":"?","responses":["a","b"]}');
    const { code, stderr } = await sppo(
      ["judge", "--judge", "mine.ts", "--input", "in.jsonl"],
      { cwd },
    );
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      /^sppo judge: Cannot use the judge mine.ts as it must judge prompt 7: out of paper$/m,
    );
  });
});

Deno.test("sppo info, --version and help say what they should", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    const info = succeeded(await sppo(["info", "--model", "tiny"], { cwd })).stdout;
    assert.match(info, /^parameters +8,064$/m);
    assert.match(info, /^format +huggingface$/m);
    assert.match(info, /^weights +31.5 KiB, 31.5 KiB in float32$/m); // 4 bytes each
    assert.match(info, /^tokenizer +259 tokens; a turn ends with 256 "<\|end\|>"$/m);
    assert.match(info, /^cache per token +128 B$/m);
    assert.match(info, /^ {2}weights +31.5 KiB$/m);
    assert.match(info, /^training lasts +~ \d/m);
    const activations = async (...options: string[]) => {
      const info = ["info", "--model", "tiny", "--backend", "reference", ...options];
      const { stdout } = succeeded(await sppo(info, { cwd }));
      return stdout.match(/^ {2}activations +(.*)$/m)![1]!;
    };
    assert.notEqual(await activations(), await activations("--tokens-per-batch", "512"));
    assert.notEqual(await activations(), await activations("--checkpointing"));
    assert.equal((await sppo(["--version"], { cwd })).stdout.split(" ")[1], VERSION);
    assert.match((await sppo(["help", "judge"], { cwd })).stdout, /length:30-60/);
    assert.equal((await sppo([], { cwd })).code, 2);
  });
});

const train = [
  "train",
  "--model",
  "tiny",
  "--prompts",
  "p.txt",
  "--judge",
  "length:1-2",
  "--out",
  "r",
  "--iterations",
  "2",
];
const replaced = (flag: string, value: string) =>
  train.map((word, at) => train[at - 1] === flag ? value : word);

const refused: readonly [readonly string[], RegExp][] = [
  [["trian"], /^sppo: Cannot run trian as there is no such command \(did you mean train\?\)/],
  [["train", "--model", "tiny", "--out", "r"], /--prompts must be given/],
  [["train", "--model", "tiny"], /--out must be given/],
  [[...train, "--samples", "1"], /--samples as at least 2 responses must be compared: 1/],
  [[...train, "--config", "none.json"], /none.json as it must exist/],
  [[...train, "--config", "p.txt"], /p.txt as it must be JSON/],
  [replaced("--model", "none"), /the model none as it must exist/],
  [replaced("--model", "none.gguf"), /the model none.gguf as it must exist/],
  [replaced("--model", "cut.gguf"), /cut.gguf/],
  [replaced("--model", "cut"), /model.safetensors/],
  [replaced("--model", "bert"), /bert/],
  [replaced("--model", "empty"), /as it must have a .gguf file, a config.json or/],
  [replaced("--prompts", "none.jsonl"), /none.jsonl as it must exist/],
  [replaced("--prompts", "wrong.csv"), /wrong.csv:2 as it must have a prompt: it has text/],
  [replaced("--prompts", "blank.jsonl"), /blank.jsonl:2 as it must not be blank: ""/],
  [replaced("--prompts", "long.txt"), /as it must leave room for 128 of 128 tokens/],
  [replaced("--judge", "lenght:1-2"), /lenght/],
  [replaced("--judge", "none.ts"), /the judge none.ts as it must exist/],
  [replaced("--judge", "p.ts"), /the judge p.ts as it must export judge or oracle/],
  [replaced("--out", "p.txt"), /p.txt/],
  [replaced("--out", "tiny"), /tiny as it must be new, empty or a run's folder/],
  [replaced("--out", "p.txt/r"), /p.txt\/r/],
  [
    [...train, "--loss", "sft", "--selection", "best-worst"],
    /--selection as --loss sft must have best: best-worst/,
  ],
  [
    [...train, "--lora-targets", "x_proj"],
    /each target must be all-linear or one of q_proj, k_proj/,
  ],
  [[...train, "--held-out", "2"], /between 1 and 1 of the 2 prompts must be kept apart/],
  [
    [...train, "--max-tokens", "9", "--held-out", "1"],
    /Cannot split the prompts over 2 iterations/,
  ],
  [["generate", "--model", "tiny"], /one of --input and --prompt must be given: neither is/],
  [
    ["generate", "--model", "tiny", "--prompt", "a", "--sampled-adapter", "merged"],
    /Cannot merge the adapter to sample as there must be one: the model is loaded with none trained/,
  ],
  [
    ["generate", "--model", "tiny", "--prompt", "a", "--precision", "fast"],
    /Cannot sample fast as .* they are f32 \(use the precision `float32`\)/,
  ],
  ...[
    ["--adapter", "tiny"],
    ["--threads", "2"],
    ["--backend", "onnx"],
    ["--precision", "fast"],
  ].map((flags) =>
    [
      [
        ...["generate", "--model", "m", "--server", "http://127.0.0.1:1", "--prompt", "a"],
        ...flags,
      ],
      new RegExp(`Cannot use ${flags[0]} with --server .*: ${flags[1]}$`),
    ] as [readonly string[], RegExp]
  ),
  [["generate", "--model", "none", "--prompt", "a", "--output", "no/x"], /write no\/x as it must/],
  [
    ["generate", "--model", "none", "--prompt", "a", "--output", "r"],
    /model none as it must exist/,
  ],
  [["generate", "--model", "tiny", "--prompt", " "], /--prompt as it must not be blank: " "/],
  [
    ["generate", "--model", "tiny", "--prompt", "a", "--adapter", "none"],
    /the adapter none as it must/,
  ],
  [
    ["generate", "--model", "tiny", "--prompt", "a", "--output", "no/x", "--max-tokens", "5"],
    /write no\/x as it must exist/,
  ],
  [["score", "--model", "tiny", "--input", "blank.jsonl"], /must have a text or token_ids/],
  [["score", "--model", "tiny", "--input", "ids.jsonl"], /token_ids must be below 259: 999/],
  [
    ["judge", "--judge", "length:1-2", "--input", "one.jsonl"],
    /at least 2 responses to compare: 1/,
  ],
  [
    ["judge", "--judge", "length:1-2", "--input", "two.jsonl", "--estimator", "scores"],
    /length:1-2 as it must give logits for --estimator scores: it gives preferences only/,
  ],
  [
    [...train, "--preference-temperature", "2"],
    /length:1-2 as it must give logits for --preference-temperature: it gives preferences only/,
  ],
];

Deno.test("sppo refuses every bad input with one line and exit code 2, and leaves no run behind", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await writeTinyModel(`${cwd}/cut`);
    await Deno.truncate(`${cwd}/cut/model.safetensors`, 4000);
    await writeTinyModel(`${cwd}/bert`);
    await Deno.writeTextFile(`${cwd}/bert/config.json`, '{"model_type":"bert"}');
    await Deno.mkdir(`${cwd}/empty`);
    for (
      const [name, text] of Object.entries({
        "cut.gguf": "GGUF\x03\0\0\0",
        "p.txt": "Why?\nHow?\n",
        "p.ts": "export const x = 1;",
        "wrong.csv": "text\na\n",
        "blank.jsonl": '{"prompt":"a"}\n{"prompt":""}\n',
        "long.txt": `${"long ".repeat(40)}\nb\nc\n`,
        "ids.jsonl": '{"prompt":"a","token_ids":[999]}',
        "one.jsonl": '{"prompt":"a","responses":["b"]}',
        "two.jsonl": '{"prompt":"a","responses":["b","c"]}',
      })
    ) await Deno.writeTextFile(`${cwd}/${name}`, text);
    for (const [args, message] of refused) {
      const { code, stderr, stdout } = await sppo(args, { cwd });
      const said = stderr.trimEnd().split("\n").filter((line) =>
        !line.startsWith("loading the model")
      );
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.equal(said.length, 1, stderr);
      assert.ok(message.test(said[0]!), `${args.join(" ")}: ${said[0]}`);
      assert.match(said[0]!, /^sppo( \w+)?: Cannot /);
      assert.equal(stdout, "");
      await assert.rejects(Deno.stat(`${cwd}/r`), Deno.errors.NotFound);
    }
  });
});

Deno.test("sppo --verbose shows the stack", async () => {
  await inTempFolder(async (cwd) => {
    const { code, stderr } = await sppo(["info", "--model", "none", "--verbose"], { cwd });
    assert.equal(code, 2);
    assert.match(stderr, /\n +at .*load_model.ts/);
  });
});
