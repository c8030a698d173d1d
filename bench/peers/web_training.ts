/**
 * A training step of a Llama in WebAssembly: ours on `onnx-wasm` and `tfjs-wasm`, against jax-js and
 * against TensorFlow.js written by hand with its own tape, in turns.
 *
 *     deno run -A bench/peers/web_training.ts [--sizes small,large] [--rounds 5] [--steps 3] [--threads 1] \
 *       [--clock wall] [--json FILE] [--markdown docs/performance.md]
 *
 * Every side starts from the same weights and reads the same 4 × 128 tokens. Loss and gradients of all
 * weights must agree, and the losses of three steps of Adam, before anything counts. `--clock cpu` takes
 * the processor time of a side in place of the clock's, for a machine that does other things; it is fair
 * with one thread only. FILE gets the size's name before its ending.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Contender, interleave } from "./_interleave.ts";
import { runComparison, say, wholeNumber } from "./_options.ts";
import { type Peer, startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { ROWS, type SizeName, SIZES, TIME } from "./_web_llama.ts";

/** Of a gradient's elements and norm, relative to its largest element and its norm. */
const GRADIENTS = 1e-4;
/** Of a loss, relative: of the start, and after updates that divide by roots of small numbers. */
const LOSS = 1e-5;
const LOSSES = 1e-4;
/** Sections of the document. */
const SECTIONS: Readonly<Record<SizeName, string>> = {
  small: "web_training_small",
  large: "web_training_large",
};
/** Steps whose losses are compared. */
const COMPARED = 3;

interface Gradient {
  readonly largest: number;
  readonly norm: number;
  readonly samples: readonly number[];
}

/** What a side found of the weights that all start from. */
interface Found {
  readonly loss: number;
  readonly gradients: Readonly<Record<string, Gradient>>;
  readonly losses: readonly number[];
}

const apart = (a: number, b: number, scale: number) => Math.abs(a - b) / scale;

/** The largest relative differences of one side from another. */
function differences(
  one: Found,
  other: Found,
): { loss: number; gradients: number; losses: number } {
  const names = Object.keys(one.gradients);
  if (names.toSorted().join() !== Object.keys(other.gradients).toSorted().join()) {
    throw new Error("Cannot compare as all sides must train the same weights: they do not");
  }
  const gradients = names.map((name) => {
    const [a, b] = [one.gradients[name]!, other.gradients[name]!];
    const samples = a.samples.map((value, at) => apart(value, b.samples[at]!, a.largest));
    return Math.max(apart(a.norm, b.norm, a.norm), ...samples);
  });
  return {
    loss: apart(one.loss, other.loss, one.loss),
    gradients: Math.max(...gradients),
    losses: Math.max(...one.losses.map((loss, at) => apart(loss, other.losses[at]!, loss))),
  };
}

async function compare(
  size: SizeName,
  options: {
    readonly rounds: number;
    readonly steps: number;
    readonly threads: number;
    readonly clock: "wall" | "cpu";
    readonly json: string | undefined;
    readonly markdown: string | undefined;
  },
): Promise<void> {
  const { rounds, steps, threads, clock } = options;
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const deno = [Deno.execPath(), "run", "-A", "--quiet"];
  const start = async (script: string, ...args: readonly string[]) =>
    resources.use(await startPeer(deno, script, [size, ...args]));
  const ours = (backend: string) => start("web_ours.ts", backend, `${threads}`);
  const sides: Readonly<Record<string, () => Promise<Peer>>> = {
    "ours, onnx-wasm": () => ours("onnx-wasm"),
    "jax-js": () => start("web_jax.ts", `${threads}`),
    "ours, tfjs-wasm": () => ours("tfjs-wasm"),
    "tfjs by hand": () => start("web_tfjs.ts"),
  };
  const peers: Record<string, Peer> = {};
  const found: Record<string, Found> = {};
  for (const [name, open] of Object.entries(sides)) {
    say(`${size}: ${name} starts`);
    const peer = peers[name] = await open();
    const { loss, gradients } = await peer.run("gradients");
    const { losses } = await peer.run("steps", COMPARED);
    found[name] = { loss, gradients, losses } as Found;
  }
  const [first, ...others] = Object.values(found);
  const checks = { loss: 0, gradients: 0, losses: 0 };
  for (const other of others) {
    const differs = differences(first!, other);
    checks.loss = Math.max(checks.loss, differs.loss);
    checks.gradients = Math.max(checks.gradients, differs.gradients);
    checks.losses = Math.max(checks.losses, differs.losses);
  }
  if (!(checks.loss <= LOSS && checks.gradients <= GRADIENTS && checks.losses <= LOSSES)) {
    throw new Error(
      `Cannot compare as all sides must compute the same: they differ by ${JSON.stringify(checks)}`,
    );
  }
  const peak: Record<string, number> = {};
  const contenders = Object.entries(peers).map(([name, peer]): Contender => ({
    name,
    async run() {
      const answer = await peer.run("steps", steps);
      peak[name] = answer.peak_rss_mib;
      return { seconds: clock === "cpu" ? answer.cpu_seconds as number : answer.seconds };
    },
  }));
  const seconds = await interleave(contenders, {
    rounds,
    warmups: 1,
    onRun: (round, who, took) =>
      say(`${size}, round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`),
  });
  const { hiddenSize, layers, vocabSize } = SIZES[size];
  await writeReport({
    benchmark: SECTIONS[size],
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: Object.assign({}, ...Object.values(peers).map(({ versions }) => versions)),
    settings: {
      width: hiddenSize,
      layers,
      tokens: vocabSize,
      rows: ROWS,
      "tokens a row": TIME,
      "steps a run": steps,
      "threads of onnx-wasm and jax-js": threads,
      clock: clock === "cpu" ? "processor time" : "wall",
      rounds,
    },
    checks: {
      loss: checks.loss,
      "gradients of all weights": checks.gradients,
      [`losses of ${COMPARED} steps`]: checks.losses,
    },
    measurements: Object.entries(seconds).map(([name, each]) =>
      measurement(name, ROWS * TIME * steps, each)
    ),
    comparisons: [["ours, onnx-wasm", "jax-js"], ["ours, tfjs-wasm", "tfjs by hand"]].map((
      [own, other],
    ) => comparison(`${own}, than ${other}`, seconds[own!]!, seconds[other!]!)),
    peak_memory_mib: peak,
  }, { json: options.json?.replace(/(\.\w+)?$/, `.${size}$1`), markdown: options.markdown });
}

await runComparison(async () => {
  const { values } = parseArgs({
    options: {
      sizes: { type: "string", default: "small,large" },
      rounds: { type: "string", default: "5" },
      steps: { type: "string", default: "3" },
      threads: { type: "string", default: "1" },
      clock: { type: "string", default: "wall" },
      json: { type: "string" },
      markdown: { type: "string" },
    },
  });
  const { clock } = values;
  if (clock !== "wall" && clock !== "cpu") {
    throw new RangeError(`Cannot compare as --clock must be wall or cpu: ${clock}`);
  }
  for (const size of values.sizes.split(",")) {
    if (!Object.hasOwn(SIZES, size)) {
      throw new RangeError(`Cannot compare as --sizes must be of small and large: ${size}`);
    }
    await compare(size as SizeName, {
      rounds: wholeNumber("rounds", values.rounds, 1),
      steps: wholeNumber("steps", values.steps, 1),
      threads: wholeNumber("threads", values.threads, 1),
      clock,
      json: values.json,
      markdown: values.markdown,
    });
  }
});
