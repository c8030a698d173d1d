/**
 * One LoRA training step, ours against PyTorch + peft: forward, SPPO loss, gradients, AdamW, on two
 * pairs of 256 tokens a row, rank 16 on all seven linear layers, float32.
 *
 * PyTorch runs twice: with the vocabulary projected at every position, as trainers do it, and at the
 * response positions only; the faster one counts. Both sides start from one adapter and train on the
 * same token ids, and their losses in the first two steps must be equal before anything is measured.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/lora_step.ts --model FILE.gguf [--python PYTHON] [--rounds 5] [--warmups 2] \
 *       [--threads 2] [--json FILE] [--markdown docs/performance.md] [--packing decode|always] [--trl]
 *
 * `--trl` adds TRL's DPOTrainer on the same pairs, whose loss is another (see `trl_step.py`).
 *
 * @module
 */

import { peakMemory } from "../../cli/peak_memory.ts";
import { type Contender, interleave, median } from "./_interleave.ts";
import {
  loadLoraFit,
  type LoraFit,
  type LoraSteps,
  type Packing,
  relativeDifference,
} from "./_lora_fit.ts";
import { peerOptions, runComparison, say } from "./_options.ts";
import { type Peer, startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { storedPairs } from "./_stored_text.ts";

const SHAPE = { pairs: 2, promptTokens: 64, responseTokens: 192 };
const LEARNING_RATE = 1e-5;
/** Relative: two float32 sums of the same terms, and what one update makes of their difference. */
const LOSS_TOLERANCE = 1e-3;
/** Steps whose losses are compared; they are warm-ups. */
const CHECKED_STEPS = 2;

const EVERYWHERE = "PyTorch, logits everywhere";
const RESPONSES = "PyTorch, logits of responses";
const TRL = "TRL";

function packingOf(text = "decode"): Packing {
  if (text !== "decode" && text !== "always") {
    throw new TypeError(`Cannot compare as --packing must be decode or always: ${text}`);
  }
  return text;
}

/** What the runs beside one peer gave. */
interface Phase {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly peakMib: number;
  /** Relative difference of the losses of each checked step. */
  readonly lossDifferences: readonly number[];
}

/** Ours and a peer in turns. */
async function runPhase(
  name: string,
  ours: LoraSteps,
  peer: Peer,
  options: { readonly rounds: number; readonly warmups: number; readonly sameLoss: boolean },
): Promise<Phase> {
  const { rounds, warmups, sameLoss } = options;
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
      if (sameLoss) {
        lossDifferences.push(
          relativeDifference(`loss in step ${steps}`, ourLoss, loss, LOSS_TOLERANCE),
        );
      }
      return result;
    },
  }];
  const seconds = await interleave(contenders, {
    rounds,
    warmups,
    onRun: (round, who, took) => say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`),
  });
  return { name, ours: seconds.ours!, theirs: seconds[name]!, peakMib, lossDifferences };
}

await runComparison(async () => {
  const options = peerOptions({ values: ["packing"], flags: ["trl"] });
  const { python, model, threads, rounds, warmups } = options;
  const packing = packingOf(options.own.packing);
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "sppo-lora-step-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const [texts, ids, adapter] = ["texts.json", "ids.json", "adapter"].map((name) =>
    `${folder}/${name}`
  ) as [string, string, string];
  await Deno.writeTextFile(texts, JSON.stringify(await storedPairs(SHAPE)));
  const common = ["--model", model, "--threads", `${threads}`, "--lr", `${LEARNING_RATE}`];
  const given = ["--ids", ids, "--adapter", adapter];

  // One peer at a time is alive. The first one writes its log-probabilities and the adapter.
  const written = ["--ids", texts, "--write-ids", ids, "--save-adapter", adapter];
  const peers = [
    { name: EVERYWHERE, script: "torch_step.py", args: ["--logits", "all", ...written] },
    { name: RESPONSES, script: "torch_step.py", args: ["--logits", "response", ...given] },
    ...options.flags.has("trl") ? [{ name: TRL, script: "trl_step.py", args: ["--ids", ids] }] : [],
  ];
  let fit: LoraFit | undefined;
  let versions: Record<string, string> = {};
  const phases: Phase[] = [];
  for (const { name, script, args } of peers) {
    say(`starting ${name}`);
    await using peer = await startPeer(python, script, [...common, ...args]);
    if (!fit) {
      say("loading ours");
      const from = { model, adapter, ids, threads, packing, learningRate: LEARNING_RATE };
      fit = await loadLoraFit(from, resources);
    }
    versions = { ...versions, ...peer.versions };
    const ours = await fit.start();
    const sameLoss = name !== TRL;
    phases.push(await runPhase(name, ours, peer, { rounds, warmups, sameLoss }));
    await ours.dispose();
  }

  const [everywhere, responses] = phases as [Phase, Phase];
  const faster = median(everywhere.theirs) <= median(responses.theirs) ? everywhere : responses;
  const { rows, tokens, lora } = fit!;
  await writeReport({
    benchmark: "lora_step",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...fit!.versions, ...versions },
    settings: {
      rows,
      "tokens a row": tokens / rows,
      rank: lora.rank,
      alpha: lora.alpha,
      "adapted layers of a block": lora.targets.length,
      threads,
      packing,
      rounds,
      "warm-ups": warmups,
    },
    checks: {
      "log-probabilities of the start": fit!.logProbDifference,
      ...Object.fromEntries(Array.from({ length: CHECKED_STEPS }, (_, step) => [
        `loss of step ${step + 1}`,
        Math.max(...phases.map(({ lossDifferences }) => lossDifferences[step] ?? 0)),
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
    peak_memory_mib: {
      ours: Math.round(peakMemory() / 2 ** 20),
      ...Object.fromEntries(phases.map(({ name, peakMib }) => [name, peakMib])),
    },
  }, options);
});
