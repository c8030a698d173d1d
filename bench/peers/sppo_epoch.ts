/**
 * An epoch of SPPO over 32 pairs of real answers with prompts of 100 to 200 tokens, ours against TRL's
 * `DPOTrainer` with `sppo_hard`: an adapter of rank 16 on all linear layers, float32, 4 pairs a step.
 *
 * Both take the pairs in one order and start from one adapter. P is 1 for the winner and 0 for the
 * loser, and the losses of the two are added, as TRL has it, so that the losses of every step must be
 * the same. Steps are taken in turns; the epoch is their sum. Ours includes the log-probabilities of π_t
 * before the first step, which TRL computes in each step, and the snapshot after the last. Before that
 * each side computes a batch, which does not count.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-env=SPPO_SHARED \
 *       --allow-sys=cpus,loadavg bench/peers/sppo_epoch.ts --model FILE.gguf [--python PYTHON] \
 *       [--threads 2] [--pairs 32] [--json FILE] [--markdown docs/performance.md]
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import {
  memoryJournal,
  randomStream,
  shuffle,
  type StepMetrics,
  type TrainingGroup,
} from "../../core/mod.ts";
import {
  LanguageModel,
  lmTrainer,
  loadAdapter,
  type LocalPolicy,
  openCheckpoint,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
  type TrainingOptions,
} from "../../models/mod.ts";
import { interleave } from "./_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./_options.ts";
import { relativeDifference } from "./_our_steps.ts";
import { startPeer } from "./_peer.ts";
import { realPairs } from "./_real_pairs.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";

const PROMPT_TOKENS = [100, 200] as const;
const PAIRS_A_STEP = 4;
const ETA = 2;
const LEARNING_RATE = 1e-5;
/** Relative: float32 sums of the same terms, and what some updates make of their difference. */
const LOSS_TOLERANCE = 1e-3;
const ITERATION = 1;

const TRAINING: TrainingOptions = {
  ...TRAINING_DEFAULTS,
  loss: { name: "sppo", beta: 1 / ETA },
  optimizer: { ...OPTIMIZERS.adamw, weightDecay: 0.01 },
  learningRate: LEARNING_RATE,
  schedule: "constant",
  warmupRatio: 0,
  batchSize: PAIRS_A_STEP,
  maxGradNorm: 0,
};

/** Takes the steps of an epoch one by one; the last one takes the snapshot too. */
function ourEpoch(model: LanguageModel, policy: LocalPolicy, groups: readonly TrainingGroup[]) {
  const task = {
    previousPolicy: policy,
    referencePolicy: policy,
    groups,
    iteration: ITERATION,
  };
  const steps = lmTrainer(model, TRAINING).train(task, { journal: memoryJournal() });
  let left = Math.ceil(groups.length / PAIRS_A_STEP);
  return async () => {
    const started = performance.now();
    const { value } = await steps.next();
    if (--left === 0) await steps.next();
    const seconds = (performance.now() - started) / 1000;
    return { seconds, loss: (value as StepMetrics).loss! };
  };
}

/** What the log-probabilities of π_t take, which the first step includes. */
async function scoringSeconds(policy: LocalPolicy, groups: readonly TrainingGroup[]) {
  const started = performance.now();
  const given = groups.map(({ prompt, responses }) => ({
    prompt,
    responses: responses.map(({ response }) => response),
  }));
  for await (const _ of policy.logProbs(given));
  return (performance.now() - started) / 1000;
}

await runComparison(async () => {
  const options = peerOptions({ values: ["pairs"] });
  const { python, model: path, threads } = options;
  const pairs = wholeNumber("pairs", options.own.pairs ?? "32", PAIRS_A_STEP);
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "sppo-epoch-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const [ids, adapter] = [`${folder}/ids.json`, `${folder}/adapter`];

  const opened = resources.use(await openCheckpointFiles(path));
  const checkpoint = await openCheckpoint(opened.files);
  const text = await checkpoint.text();
  const groups = await realPairs({
    pairs,
    eta: ETA,
    range: PROMPT_TOKENS,
    promptTokens: ({ content }) => text.encodePrompt(content, "chat").length,
  });
  const tokensOf = ({ prompt, responses }: TrainingGroup) => ({
    prompt_ids: text.encodePrompt(prompt.content, "chat"),
    responses: responses.map(({ response, winRate }) => ({
      ids: text.encodeResponse(response.text, "chat"),
      win_rate: winRate,
    })),
  });
  // The order of the trainer's first epoch; the losses show whether it is.
  const order = shuffle(groups, randomStream(TRAINING.seed, ITERATION, 0)).map(tokensOf);
  await Deno.writeTextFile(ids, JSON.stringify({ eta: ETA, groups: order }));
  const tokens = order.reduce(
    (sum, { prompt_ids, responses }) =>
      sum + responses.reduce((all, { ids }) => all + prompt_ids.length + ids.length, 0),
    0,
  );

  say("starting TRL");
  const peer = resources.use(
    await startPeer(python, "trl_step.py", [
      ...["--model", path, "--threads", `${threads}`, "--lr", `${LEARNING_RATE}`, "--ids", ids],
      ...["--pairs-a-step", `${PAIRS_A_STEP}`, "--save-adapter", adapter],
    ]),
  );
  say("loading ours");
  using files = await openCheckpointFiles(adapter);
  const { lora, tensors } = await loadAdapter(files.files, checkpoint.config);
  const backend = await createOnnxBackend({ threads });
  resources.defer(() => backend.dispose());
  const model = await LanguageModel.load(checkpoint, backend, {
    template: "chat",
    trainable: { kind: "lora", lora },
  });
  resources.defer(() => model.dispose());
  const policy = await model.policyFromTensors(tensors);
  const warmUp = ourEpoch(model, policy, groups.slice(0, PAIRS_A_STEP));
  await warmUp();

  const losses: Record<"ours" | "TRL", number[]> = { ours: [], TRL: [] };
  let peakMib = 0;
  const step = ourEpoch(model, policy, groups);
  const contenders = [{
    name: "ours",
    async run() {
      const result = await step();
      losses.ours.push(result.loss);
      return result;
    },
  }, {
    name: "TRL",
    async run() {
      const result = await peer.run();
      losses.TRL.push(result.loss as number);
      peakMib = result.peak_rss_mib;
      relativeDifference("loss", losses.ours.at(-1)!, losses.TRL.at(-1)!, LOSS_TOLERANCE);
      return result;
    },
  }];
  const steps = Math.ceil(pairs / PAIRS_A_STEP);
  const seconds = await interleave(contenders, {
    rounds: steps,
    warmups: 0,
    onRun: (round, who, took) =>
      say(
        `step ${round}/${steps}: ${who} ${took.toFixed(2)} s, ` +
          `loss ${losses[who as "ours" | "TRL"].at(-1)}`,
      ),
  });
  const scoring = await scoringSeconds(policy, groups);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const [ours, theirs] = [seconds.ours!, seconds.TRL!];
  await writeReport({
    benchmark: "sppo_epoch",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions, ...peer.versions },
    settings: {
      pairs,
      "pairs a step": PAIRS_A_STEP,
      "tokens of all rows": tokens,
      "of them prompts": 2 * sum(order.map(({ prompt_ids }) => prompt_ids.length)),
      rank: lora.rank,
      threads,
    },
    checks: {
      [`losses of ${steps} steps`]: Math.max(
        ...losses.ours.map((loss, at) => Math.abs(loss - losses.TRL[at]!) / losses.TRL[at]!),
      ),
    },
    measurements: [
      measurement("ours, an epoch", tokens, [sum(ours)]),
      measurement("TRL, an epoch", tokens, [sum(theirs)]),
    ],
    comparisons: [
      comparison("than TRL, an epoch", [sum(ours)], [sum(theirs)]),
      comparison("than TRL, each step", ours, theirs),
    ],
    remarks: [
      `Of our epoch ${
        scoring.toFixed(1)
      } s are log-probabilities of π_t, once for all epochs of an ` +
      `iteration; without them it is ${
        (sum(theirs) / (sum(ours) - scoring)).toFixed(2)
      } times as ` +
      "fast as TRL's with its own.",
    ],
    peak_memory_mib: { ours: Math.round(peakMemory() / 2 ** 20), TRL: peakMib },
  }, options);
});
