/**
 * One training step, ours against PyTorch: forward, SPPO loss, gradients, AdamW, on two pairs of 256
 * tokens a row, float32; of an adapter (against peft) of rank 16 on all seven linear layers, or of all
 * weights.
 *
 * PyTorch runs twice: with the vocabulary projected at every position, as trainers do it, and at the
 * response positions only; the faster one counts. Both sides start from the same weights and train on
 * the same token ids, and their losses in the first two steps must be equal before anything is measured.
 * A third one in turn is a product alone, the most that this machine can do.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/train_step.ts --model FILE.gguf [--fit lora|all] [--python PYTHON] [--rounds 5] \
 *       [--warmups 2] [--threads 2] [--json FILE] [--markdown docs/performance.md] \
 *       [--packing decode|always]
 *
 * @module
 */

import { peakMemory } from "../../cli/peak_memory.ts";
import { type Contender, interleave, median } from "./_interleave.ts";
import {
  loadOurSteps,
  type OurSteps,
  type Packing,
  relativeDifference,
  type StepsUnderWay,
} from "./_our_steps.ts";
import { peerOptions, runComparison, say } from "./_options.ts";
import { type Peer, startPeer } from "./_peer.ts";
import { PEAK_OPERATIONS, plainStepOperations, productPeak } from "./_product_peak.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { storedPairs } from "./_stored_text.ts";

const SHAPE = { pairs: 2, promptTokens: 64, responseTokens: 192 };
/** All weights move further by as much. */
const LEARNING_RATES = { lora: 1e-5, all: 1e-7 } as const;
/** Relative: two float32 sums of the same terms, and what one update makes of their difference. */
const LOSS_TOLERANCE = 1e-3;
/** Steps whose losses are compared; they are warm-ups. */
const CHECKED_STEPS = 2;

const EVERYWHERE = "PyTorch, logits everywhere";
const RESPONSES = "PyTorch, logits of responses";

function oneOf<T extends string>(option: string, words: readonly T[], text: string): T {
  const word = words.find((one) => one === text);
  if (word === undefined) {
    throw new TypeError(`Cannot compare as --${option} must be ${words.join(" or ")}: ${text}`);
  }
  return word;
}

/** What the runs beside one peer gave. */
interface Phase {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly products: readonly number[];
  readonly peakMib: number;
  /** Relative difference of the losses of each checked step. */
  readonly lossDifferences: readonly number[];
}

/** Ours, a peer and the product in turns. */
async function runPhase(
  name: string,
  ours: StepsUnderWay,
  peer: Peer,
  product: Contender,
  { rounds, warmups }: { readonly rounds: number; readonly warmups: number },
): Promise<Phase> {
  const lossDifferences: number[] = [];
  let ourLoss = NaN;
  let peakMib = 0;
  let steps = 0;
  const contenders: Contender[] = [{
    name: "ours",
    async run() {
      const result = await ours.step();
      ourLoss = result.loss;
      return result;
    },
  }, {
    name,
    async run() {
      const result = await peer.run();
      peakMib = result.peak_rss_mib;
      const loss = result.loss as number;
      steps++;
      if (steps > CHECKED_STEPS) return result;
      say(`step ${steps}: loss ${ourLoss} ours, ${loss} ${name}`);
      lossDifferences.push(
        relativeDifference(`loss in step ${steps}`, ourLoss, loss, LOSS_TOLERANCE),
      );
      return result;
    },
  }, product];
  const seconds = await interleave(contenders, {
    rounds,
    warmups,
    onRun: (round, who, took) => say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`),
  });
  const products = seconds[product.name]!;
  return { name, ours: seconds.ours!, theirs: seconds[name]!, products, peakMib, lossDifferences };
}

await runComparison(async () => {
  const options = peerOptions({ values: ["packing", "fit"] });
  const { python, model, threads, rounds, warmups } = options;
  const packing: Packing = oneOf("packing", ["decode", "always"], options.own.packing ?? "decode");
  const kind = oneOf("fit", ["lora", "all"], options.own.fit ?? "lora");
  const learningRate = LEARNING_RATES[kind];
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "sppo-train-step-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const [texts, ids, stored] = ["texts.json", "ids.json", "adapter"].map((name) =>
    `${folder}/${name}`
  ) as [string, string, string];
  const adapter = kind === "lora" ? stored : undefined;
  await Deno.writeTextFile(texts, JSON.stringify(await storedPairs(SHAPE)));
  const common = [
    ...["--model", model, "--threads", `${threads}`, "--lr", `${learningRate}`, "--fit", kind],
  ];

  // One peer at a time is alive. The first one writes its log-probabilities and the adapter.
  const peers = [
    {
      name: EVERYWHERE,
      args: ["--logits", "all", "--ids", texts, "--write-ids", ids],
      adapter: "--save-adapter",
    },
    { name: RESPONSES, args: ["--logits", "response", "--ids", ids], adapter: "--adapter" },
  ];
  const product = await productPeak(threads, resources);
  let fit: OurSteps | undefined;
  let versions: Record<string, string> = {};
  const phases: Phase[] = [];
  for (const { name, args, adapter: option } of peers) {
    say(`starting ${name}`);
    const given = [...common, ...args, ...adapter === undefined ? [] : [option, adapter]];
    await using peer = await startPeer(python, "torch_step.py", given);
    if (!fit) {
      say("loading ours");
      const settings = { threads, packing, learningRate };
      const from = { model, adapter, ids, ...settings };
      fit = await loadOurSteps(from, resources);
    }
    versions = { ...versions, ...peer.versions };
    const ours = await fit.start();
    phases.push(await runPhase(name, ours, peer, product, { rounds, warmups }));
    await ours.dispose();
  }

  const [everywhere, responses] = phases as [Phase, Phase];
  const faster = median(everywhere.theirs) <= median(responses.theirs) ? everywhere : responses;
  const { rows, tokens, config, trained } = fit!;
  const peak = PEAK_OPERATIONS / Math.min(...phases.flatMap(({ products }) => products));
  const operations = plainStepOperations(config, { rows, tokens: tokens / rows, fit: kind });
  const rate = operations / median(phases.flatMap(({ ours }) => ours));
  await writeReport({
    benchmark: kind === "lora" ? "lora_step" : "full_step",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...fit!.versions, ...versions },
    settings: {
      rows,
      "tokens a row": tokens / rows,
      ...trained,
      threads,
      packing,
      rounds,
      "warm-ups": warmups,
    },
    checks: {
      "log-probabilities of the start": fit!.logProbDifference,
      ...Object.fromEntries(Array.from({ length: CHECKED_STEPS }, (_, step) => [
        `loss of step ${step + 1}`,
        Math.max(...phases.map(({ lossDifferences }) => lossDifferences[step]!)),
      ])),
    },
    measurements: phases.flatMap(({ name, ours, theirs }) => [
      measurement(`ours beside ${name}`, tokens, ours),
      measurement(name, tokens, theirs),
    ]),
    comparisons: phases.map((phase) =>
      comparison(
        `than ${phase.name}${phase === faster ? " (the faster)" : ""}`,
        phase.ours,
        phase.theirs,
      )
    ),
    remarks: [
      `Share of the machine's peak: ${(100 * rate / peak).toFixed(0)} %. The plain step has ` +
      `${(operations / 1e9).toFixed(0)} GFLOP, which ours did at ${(rate / 1e9).toFixed(0)} ` +
      `GFLOP/s; the fastest product of 1024×576×1536, in turns with the steps, ran at ` +
      `${(peak / 1e9).toFixed(0)} GFLOP/s.`,
    ],
    peak_memory_mib: {
      ours: Math.round(peakMemory() / 2 ** 20),
      ...Object.fromEntries(phases.map(({ name, peakMib }) => [name, peakMib])),
    },
  }, options);
});
