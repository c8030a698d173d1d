// deno-lint-ignore-file no-console -- a script that prints
/**
 * Step 2 of the embedded policy: a tokenizer and a small Llama, trained from nothing on the sampled
 * answers with the toolkit's own token-likelihood loss, all weights.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/embedded_policy/train.ts ANSWERS.jsonl models/embedded/files
 *
 * Run again after an interruption, it goes on from the last checkpoint (in OUT.fit).
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { fileJournal } from "../../cli/file_journal.ts";
import { normal, randomStream, type TrainingGroup } from "../../core/mod.ts";
import {
  bytesSource,
  type Checkpoint,
  type DecoderConfig,
  decoderTensors,
  type FloatTensor,
  LanguageModel,
  lmTrainer,
  openCheckpoint,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
  writeCheckpoint,
} from "../../models/mod.ts";
import { domainPrompts } from "./prompts.ts";
import { trainTokenizer } from "./train_tokenizer.ts";

const VOCAB_SIZE = 1536;
const SPECIAL_TOKENS = ["<|end|>", "<|user|>", "<|assistant|>"];
/** The rule of a chat in this vocabulary: turns that end in `<|end|>`. */
const TEMPLATE = "{% for message in messages %}" +
  "{% if message.role not in ['user', 'assistant'] %}" +
  "{{ raise_exception('This model has no ' + message.role + ' turns') }}{% endif %}" +
  "{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
const CONFIG: DecoderConfig = {
  architecture: "llama",
  vocabSize: VOCAB_SIZE,
  hiddenSize: 128,
  intermediateSize: 352,
  layers: 6,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 256,
  tieWordEmbeddings: true,
  eosTokenIds: [0],
};

interface Answers {
  readonly prompt: string;
  readonly responses: readonly string[];
}

/** GPT-2's initialisation: normal of 0.02, layers that add to the residual stream divided by √2L. */
function initialTensors(): Map<string, FloatTensor> {
  const tensors = new Map<string, FloatTensor>();
  for (const { name, shape } of decoderTensors(CONFIG)) {
    const random = randomStream(0, name);
    const residual = /(o_proj|down_proj)\.weight$/.test(name);
    const deviation = 0.02 / (residual ? Math.sqrt(2 * CONFIG.layers) : 1);
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    tensors.set(name, {
      shape,
      data: shape.length === 1 ? data.fill(1) : data.map(() => normal(random) * deviation),
    });
  }
  return tensors;
}

const json = (value: object) => new TextEncoder().encode(JSON.stringify(value, null, 1) + "\n");

/** The files beside the weights. */
function textFiles(texts: Iterable<string>): Record<string, Uint8Array> {
  return {
    "tokenizer.json": json(
      trainTokenizer(texts, { vocabSize: VOCAB_SIZE, specialTokens: SPECIAL_TOKENS }),
    ),
    "tokenizer_config.json": json({
      tokenizer_class: "PreTrainedTokenizerFast",
      eos_token: "<|end|>",
      bos_token: null,
      add_bos_token: false,
      chat_template: TEMPLATE,
    }),
  };
}

async function openFiles(files: Record<string, Uint8Array>): Promise<Checkpoint> {
  return await openCheckpoint(
    Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
    ),
  );
}

const [answersPath, out] = Deno.args;
if (answersPath === undefined || out === undefined) {
  console.error("Usage: train.ts ANSWERS.jsonl OUT");
  Deno.exit(2);
}

const answers = (await Deno.readTextFile(answersPath)).split("\n").filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Answers);
const heldOut = new Set(domainPrompts().heldOut);
const texts = new Set<string>();
const seen = new Set<string>();
const groups: TrainingGroup[] = [];
for (const { prompt, responses } of answers) {
  if (heldOut.has(prompt)) {
    throw new Error(`Cannot train as held-out questions must stay out: ${prompt}`);
  }
  texts.add(prompt);
  for (const text of responses) {
    const key = `${prompt}\n${text}`;
    if (seen.has(key)) continue;
    seen.add(key);
    texts.add(text);
    groups.push({
      prompt: { id: `${groups.length}`, content: prompt },
      // A token's weight is the same in every answer: 1/24 makes the loss about one token's.
      responses: [{ response: { text }, target: 0, weight: 1 / 24 }],
    });
  }
}

const extraFiles = textFiles(texts);
const start = await openFiles(writeCheckpoint(CONFIG, initialTensors(), { extraFiles }));
const backend = await createOnnxBackend();
const model = await LanguageModel.load(start, backend, {
  trainable: { kind: "all" },
  tokensPerBatch: 4096,
});
const trainer = lmTrainer(model, {
  ...TRAINING_DEFAULTS,
  loss: { name: "sft" },
  optimizer: { ...OPTIMIZERS.adamw, beta2: 0.98, weightDecay: 0.01 },
  learningRate: 3e-3,
  schedule: "cosine",
  warmupRatio: 0.03,
  epochs: 2,
  batchSize: 96,
  maxLength: 160,
  checkpointEvery: 100,
});
console.log(`${groups.length} answers, ${VOCAB_SIZE} tokens in the vocabulary`);

const policy = await model.policy();
const run = trainer.train(
  { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 },
  { journal: fileJournal(`${out}.fit`) },
);
const started = performance.now();
let first = 0;
let average = 0;
for (;;) {
  const next = await run.next();
  if (next.done) {
    const tensors = new Map<string, FloatTensor>();
    const trained = next.value.trained!;
    for (const name of trained.names) {
      tensors.set(name, { shape: trained.shape(name), data: await trained.read(name) });
    }
    await Deno.mkdir(out, { recursive: true });
    const files = writeCheckpoint(CONFIG, tensors, { encoding: "f16", extraFiles });
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.writeFile(`${out}/${name}`, bytes);
    }
    break;
  }
  const { step, total_steps, loss, learning_rate, tokens_per_second } = next.value;
  first ||= step! - 1;
  average = average === 0 ? loss! : 0.95 * average + 0.05 * loss!;
  if (step! % 20 === 0 || step === total_steps) {
    const left = (performance.now() - started) / 1000 / (step! - first) * (total_steps! - step!);
    console.log(
      `step ${step}/${total_steps} loss ${average.toFixed(3)} lr ${
        learning_rate!.toExponential(1)
      } ` +
        `${tokens_per_second!.toFixed(0)} tok/s, ${Math.ceil(left)} s left`,
    );
  }
}
await backend.dispose();
