// deno-lint-ignore-file no-console -- a script that prints
/**
 * Step 1 of the embedded policy: samples answers to the domain's questions from a teacher.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/embedded_policy/sample.ts TEACHER.gguf OUT.jsonl
 *
 * Writes a line per question and round, `{"prompt","responses":[text…],"tokens"}`; run again, it goes
 * on where it stopped. Only answers that ended are kept. At least a million tokens are sampled.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openFile } from "../../cli/file_source.ts";
import type { Prompt } from "../../core/mod.ts";
import { LanguageModel, openCheckpoint } from "../../models/mod.ts";
import { domainPrompts } from "./prompts.ts";

/** Answers that show the teacher how short and plain they should be. */
const EXAMPLES = [
  ["What do polar bears eat?", "Polar bears eat seals and fish. They hunt on the sea ice."],
  [
    "Where do beavers live?",
    "Beavers live in rivers and ponds, where they build dams of branches and mud.",
  ],
  [
    "How do hedgehogs stay safe?",
    "Hedgehogs roll up into a ball. Their sharp spines keep other animals away.",
  ],
  [
    "What is special about swans?",
    "Swans are large white birds with long necks, and they often stay with one partner for life.",
  ],
] as const;
const ROUNDS = 3;
const SAMPLING = { samples: 48, temperature: 0.5, topP: 0.9, maxTokens: 64 };

const [teacher, out] = Deno.args;
if (teacher === undefined || out === undefined) {
  console.error("Usage: sample.ts TEACHER.gguf OUT.jsonl");
  Deno.exit(2);
}

/** The question, without the examples before it. */
function question({ content }: Prompt): string {
  return typeof content === "string" ? content : content.at(-1)!.content;
}

const done = new Set<string>();
let total = 0;
try {
  for (const line of (await Deno.readTextFile(out)).split("\n")) {
    if (line === "") continue;
    const { key, tokens } = JSON.parse(line) as { key: string; tokens: number };
    done.add(key);
    total += tokens;
  }
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

const backend = await createOnnxBackend();
const checkpoint = await openCheckpoint({ "teacher.gguf": await openFile(teacher) });
const model = await LanguageModel.load(checkpoint, backend, { slots: 144, cacheBytes: 2 ** 31 });
const policy = await model.policy();

const started = performance.now();
let sampled = 0;
using file = await Deno.open(out, { append: true, create: true });
for (let round = 0; round < ROUNDS; round++) {
  const prompts = domainPrompts().train
    .map((question) => ({
      id: `${round} ${question}`,
      content: [
        ...EXAMPLES.flatMap(([ask, answer]) => [
          { role: "user" as const, content: ask },
          { role: "assistant" as const, content: answer },
        ]),
        { role: "user" as const, content: question },
      ],
    }))
    .filter(({ id }) => !done.has(id));
  for await (const { prompt, responses } of policy.sample(prompts, { ...SAMPLING, seed: round })) {
    const tokens = responses.reduce((sum, { tokenIds }) => sum + tokenIds!.length, 0);
    const line = {
      key: prompt.id,
      prompt: question(prompt),
      tokens,
      responses: responses.filter(({ finishReason }) => finishReason === "stop").map(({ text }) =>
        text
      ),
    };
    await file.write(new TextEncoder().encode(JSON.stringify(line) + "\n"));
    total += tokens;
    sampled += tokens;
    const rate = sampled / (performance.now() - started) * 1000;
    console.log(`${prompt.id}: ${total} tokens, ${rate.toFixed(0)} a second`);
  }
}
await backend.dispose();
