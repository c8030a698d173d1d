/**
 * What a browser runs: the suite of backends, then self-play of the embedded policy, then two hundred
 * optimizer steps whose memory is watched. Each finding is posted to the server that gave the page.
 *
 * @module
 */

import { createOnnxWebBackend } from "../../backends/onnx/web/backend.ts";
import { createTfjsBackend } from "../../backends/tfjs/mod.ts";
import { selfPlay } from "../../core/mod.ts";
import type { Backend } from "../../graph/mod.ts";
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

/** Samples, judges and fits, once; the losses must be numbers and the policy must change. */
async function play(backend: Backend): Promise<string> {
  const model = await LanguageModel.load(await openEmbeddedPolicy(), backend, {
    trainable: LORA,
  });
  const policy = await model.policy();
  const prompts = ["Tell me about a fox.", "What do owls eat?"].map((content, index) => ({
    id: `p${index}`,
    content,
  }));
  const losses: number[] = [];
  let responses = 0;
  const run = selfPlay({
    policy,
    oracle: parseJudge("length:3-4@sharpness=12"),
    trainer: lmTrainer(model, { ...TRAINING_DEFAULTS, batchSize: 1, learningRate: 1e-3 }),
    prompts,
    iterations: 1,
    eta: 10,
    sampling: { samples: 3, temperature: 1, topP: 1, maxTokens: 8 },
    selection: "all",
    seed: 1,
  });
  for await (const event of run) {
    if (event.type === "sampled") responses++;
    if (event.type === "step") losses.push(event.metrics.loss!);
  }
  await model.dispose();
  if (responses === 0 || losses.length === 0 || !losses.every(Number.isFinite)) {
    throw new Error(`${responses} prompts were answered, with the losses ${losses}`);
  }
  return `${losses.length} steps, losses ${losses.map((loss) => loss.toFixed(4)).join(", ")}`;
}

interface Heap {
  readonly memory?: { readonly usedJSHeapSize: number };
}

/** Bytes in use, after a collection where the browser lets the page ask for one. */
function heapBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return (performance as Heap).memory?.usedJSHeapSize ?? 0;
}

/** Two hundred steps of the tiny Llama hold the memory that they had after the first twenty. */
async function stay(backend: Backend): Promise<string> {
  const { model, policy } = await loraModel(backend);
  const tensors = () => (backend as { tensors?: () => number }).tensors?.() ?? 0;
  const trained = async (epochs: number) => {
    const { policy: next, steps } = await fit(policy, { epochs });
    await next.dispose();
    return steps.length;
  };
  await trained(20);
  const before = { heap: heapBytes(), tensors: tensors() };
  const steps = await trained(STEPS);
  const after = { heap: heapBytes(), tensors: tensors() };
  await model.dispose();
  const grown = after.heap - before.heap;
  const text = `${steps} steps: ${(grown / 2 ** 20).toFixed(1)} MiB more, ${
    after.tensors - before.tensors
  } tensors more`;
  if (steps < STEPS || grown > MOST_GROWTH || after.tensors > before.tensors) throw new Error(text);
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
    () => play(running),
  );
  if (!quick) await attempt(name, "two hundred steps hold their memory", () => stay(running));
  await running.dispose();
}
await fetch("/finished", { method: "POST" });
