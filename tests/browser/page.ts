/**
 * What a browser runs: the suite of backends, then self-play of the embedded policy, then two hundred
 * optimizer steps whose memory is watched. Each finding is posted to the server that gave the page.
 *
 * @module
 */

import { createOnnxWebBackend } from "../../backends/onnx/web/backend.ts";
import { createTfjsBackend } from "../../backends/tfjs/mod.ts";
import { selfPlay } from "../../core/mod.ts";
import { type Backend, ProgramBuilder } from "../../graph/mod.ts";
import { parseJudge } from "../../judges/mod.ts";
import { openEmbeddedPolicy } from "../../models/embedded/mod.ts";
import { LanguageModel, lmTrainer, TRAINING_DEFAULTS } from "../../models/mod.ts";
import { type CaseResult, conformanceCases, runConformance } from "../backends/conformance.ts";
import { fit, loraModel } from "../models/_fit.ts";
import { LORA } from "../models/_tiny_model.ts";
import { tfjsCore, tfjsWasm, tfjsWebGpu } from "./_deps.ts";

/** As in Deno: float32 sums of some hundred terms, exponentials by short polynomials. */
const TOLERANCE = 2e-5;
/** Optimizer steps of a page left running. */
const STEPS = 200;
/** Steps of one fit; what a fit leaves behind counts too. */
const STEPS_PER_FIT = 20;
/** What the heap of scripts may grow by in those steps; kept tensors would be a hundred times this. */
const MOST_GROWTH = 16 * 2 ** 20;

/** The suite takes minutes where shaders are compiled for a CPU; `all=1` in the address runs it. */
const QUICK =
  /^matmul: a bᵀ, matrices|^gather: rows|^scatterAdd: rows|^div: integers|update|reader|store|disposed|refused|Llama with LoRA, 1 chunk$|PyTorch's LoRA gradients/;

const query = new URLSearchParams(location.search);

async function report(finding: CaseResult & { readonly backend: string }): Promise<void> {
  await fetch("/finding", { method: "POST", body: JSON.stringify(finding) });
}

async function onnx(device: "wasm" | "webgpu"): Promise<Backend> {
  const url = `/ort/ort.${device}.bundle.min.mjs`;
  const ort: unknown = await import(url);
  return await createOnnxWebBackend({ device, module: { ort, wasmFolder: "/ort/" } });
}

const modules = { core: tfjsCore, wasmFolder: "/tfjs/" };
const makers: Readonly<Record<string, () => Promise<Backend>>> = {
  "tfjs-webgpu": () =>
    createTfjsBackend({ device: "webgpu", modules: { core: tfjsCore, device: tfjsWebGpu } }),
  "tfjs-wasm": () =>
    createTfjsBackend({ device: "wasm", modules: { ...modules, device: tfjsWasm } }),
  "onnx-wasm": () => onnx("wasm"),
  "onnx-webgpu": () => onnx("webgpu"),
};

/** What is played where shaders are compiled for a CPU: with this seed the responses are not tied. */
const FEW = { count: 1, samples: 2, maxTokens: 3, seed: 3 };

const PROMPTS = ["Tell me about a fox.", "What do owls eat?"];

/** Tells that the page is alive. */
async function beat(): Promise<void> {
  await fetch("/alive", { method: "POST" });
}

const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Samples, judges and fits, once; the losses must be numbers. */
async function play(
  backend: Backend,
  { count, samples, maxTokens, seed }: {
    readonly count: number;
    readonly seed: number;
    readonly samples: number;
    readonly maxTokens: number;
  },
): Promise<string> {
  const start = performance.now();
  const model = await LanguageModel.load(await openEmbeddedPolicy(), backend, {
    trainable: LORA,
  });
  const policy = await model.policy();
  const prompts = PROMPTS.slice(0, count).map((content, index) => ({ id: `p${index}`, content }));
  const losses: number[] = [];
  let responses = 0;
  const run = selfPlay({
    policy,
    oracle: parseJudge("length:3-4@sharpness=12"),
    trainer: lmTrainer(model, { ...TRAINING_DEFAULTS, batchSize: 1, learningRate: 1e-3 }),
    prompts,
    iterations: 1,
    eta: 10,
    sampling: { samples, temperature: 1, topP: 1, maxTokens },
    selection: "all",
    seed,
  });
  for await (const event of run) {
    await beat();
    if (event.type === "sampled") responses++;
    if (event.type === "step") losses.push(event.metrics.loss!);
  }
  await model.dispose();
  if (responses === 0 || losses.length === 0 || !losses.every(Number.isFinite)) {
    throw new Error(`${responses} prompts were answered, with the losses ${losses}`);
  }
  const shown = losses.map((loss) => loss.toFixed(4)).join(", ");
  return `${losses.length} steps, losses ${shown}, ${seconds(start)}`;
}

interface Heap {
  readonly memory?: { readonly usedJSHeapSize: number };
}

/** Bytes in use, after a collection where the browser lets the page ask for one. */
function heapBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return (performance as Heap).memory?.usedJSHeapSize ?? 0;
}

/** Calls a function some times and then two hundred; the memory must be what it was in between. */
async function stay(
  backend: Backend,
  step: () => Promise<unknown>,
  stepsPerCall: number,
): Promise<string> {
  const start = performance.now();
  const tensors = () => (backend as { tensors?: () => number }).tensors?.() ?? 0;
  const take = async (steps: number) => {
    for (let taken = 0; taken < steps; taken += stepsPerCall) {
      await step();
      if (taken % STEPS_PER_FIT === 0) await beat();
    }
  };
  await take(STEPS_PER_FIT);
  const before = { heap: heapBytes(), tensors: tensors() };
  await take(STEPS);
  const after = { heap: heapBytes(), tensors: tensors() };
  const grown = after.heap - before.heap;
  const text = `${STEPS} steps: ${(grown / 2 ** 20).toFixed(1)} MiB more, ${
    after.tensors - before.tensors
  } tensors more of ${after.tensors}, ${seconds(start)}`;
  if (grown > MOST_GROWTH || after.tensors > before.tensors) throw new Error(text);
  return text;
}

/** Fits of the tiny Llama; what a fit leaves behind counts too. */
async function stayFitting(backend: Backend): Promise<string> {
  const { model, policy } = await loraModel(backend);
  const text = await stay(backend, async () => {
    const { policy: next, steps } = await fit(policy, { epochs: STEPS_PER_FIT });
    await next.dispose();
    if (steps.length !== STEPS_PER_FIT) throw new Error(`${steps.length} steps were taken`);
  }, STEPS_PER_FIT);
  await model.dispose();
  return text;
}

/** Steps with momentum of a matrix w toward x wᵀ = x: few shaders, and state as in training. */
async function stayDescending(backend: Backend): Promise<string> {
  const g = new ProgramBuilder("descend");
  const [w, m] = [g.parameter("adapter", "w", [8, 8]), g.parameter("moments", "w", [8, 8])];
  const x = g.input("x", "float32", ["n", 8]);
  const error = g.sub(g.matmul(x, w, { transposeB: true }), x);
  const gradient = g.matmul(error, x, { transposeA: true });
  const next = g.add(g.mul(m, g.constant(0.9)), gradient);
  g.update("moments", "w", next);
  g.update("adapter", "w", g.sub(w, g.mul(next, g.constant(1e-3))));
  g.output("loss", g.reduceSum(g.mul(error, error)));
  const stores = {
    adapter: await backend.createStore([{ name: "w", shape: [8, 8] }]),
    moments: await backend.createStore([{ name: "w", shape: [8, 8] }]),
  };
  const executable = await backend.compile(g.build());
  const bound = executable.bind(stores);
  const data = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i * i));
  const losses: number[] = [];
  const text = await stay(backend, async () => {
    const { loss } = await bound.run({ x: { shape: [16, 8], data } });
    losses.push(loss!.data[0]!);
  }, 1);
  await executable.dispose();
  for (const store of Object.values(stores)) await store.dispose();
  const [first, last] = [losses[0]!, losses.at(-1)!];
  if (!(last < first / 10)) throw new Error(`the loss went from ${first} to ${last}`);
  return text;
}

async function attempt(
  backend: string,
  name: string,
  run: () => Promise<string | undefined>,
): Promise<void> {
  try {
    const reason = await run();
    await report({ backend, name, outcome: "passed", ...(reason === undefined ? {} : { reason }) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : `${error}`;
    await report({ backend, name, outcome: "failed", reason });
  }
}

for (const name of query.getAll("backend")) {
  let backend: Backend | undefined;
  await attempt(name, "starts", async () => {
    backend = await makers[name]!();
    return `${backend.limits.threads} threads`;
  });
  if (!backend) continue;
  const running = backend;
  const quick = name.endsWith("-webgpu") && !query.has("all");
  const skips = Object.fromEntries(
    quick
      ? conformanceCases().filter((one) => !QUICK.test(one)).map((one) => [
        one,
        "shaders are compiled for a CPU; SPPO_TEST_WEBGPU=1 runs it",
      ])
      : [],
  );
  for await (const result of runConformance(running, { name, tolerance: TOLERANCE, skips })) {
    await report({ backend: name, ...result });
  }
  await attempt(
    name,
    "the embedded policy samples, is judged and takes SPPO steps",
    () =>
      play(
        running,
        quick ? FEW : { count: 2, samples: 3, maxTokens: 8, seed: 1 },
      ),
  );
  await attempt(
    name,
    "two hundred steps hold their memory",
    () => quick ? stayDescending(running) : stayFitting(running),
  );
  await running.dispose();
}
await fetch("/finished", { method: "POST" });
