/**
 * What the machine can do at most: a float32 product of 1024×576×1536, the layer `gate` of SmolLM2-135M
 * for 4 × 256 tokens, with its weights packed beforehand; and how many operations a step needs.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { fromFloat32, ProgramBuilder } from "../../graph/mod.ts";
import { type DecoderConfig, decoderTensors } from "../../models/mod.ts";
import type { Contender } from "./_interleave.ts";

const [ROWS, INPUTS, OUTPUTS] = [1024, 576, 1536];
/** Products of one run, which then takes some tenths of a second. */
const REPEATS = 25;

/** Operations of a run of {@linkcode productPeak}. */
export const PEAK_OPERATIONS: number = 2 * ROWS * INPUTS * OUTPUTS * REPEATS;

/** A run of products alone, on a backend of its own. */
export async function productPeak(
  threads: number,
  resources: AsyncDisposableStack,
): Promise<Contender> {
  const g = new ProgramBuilder("peak");
  const x = g.parameter("input", "x", [ROWS, INPUTS]);
  const y = g.linear(x, g.parameter("weights", "w", [OUTPUTS, INPUTS]));
  g.output("row", g.slice(y, 0, 0, 1)); // copies would count
  const backend = await createOnnxBackend({ threads, packing: "always" });
  resources.defer(() => backend.dispose());
  const values = (count: number) => new Float32Array(count).map((_, at) => (at % 17 - 8) / 8);
  const input = await backend.createStore([
    fromFloat32("x", [ROWS, INPUTS], values(ROWS * INPUTS)),
  ]);
  const weights = await backend.createStore([
    fromFloat32("w", [OUTPUTS, INPUTS], values(OUTPUTS * INPUTS)),
  ]);
  const product = (await backend.compile(g.build(), { constants: { weights } })).bind({ input });
  return {
    name: "product",
    async run() {
      const started = performance.now();
      for (let at = 0; at < REPEATS; at++) await product.run({});
      return { seconds: (performance.now() - started) / 1000 };
    },
  };
}

/**
 * Operations of a plain step over rows of as many tokens: 2 per weight and token forward, 2 for the
 * gradient of the activations, 2 more for that of the weights where all are trained; the vocabulary at
 * every token; attention as three passes over all pairs of tokens. What is done beside that (adapters,
 * norms, optimizer) does not count, and what is saved (prompts computed once) counts as done.
 */
export function plainStepOperations(
  config: DecoderConfig,
  { rows, tokens, fit }: {
    readonly rows: number;
    /** Of each row. */
    readonly tokens: number;
    readonly fit: "lora" | "all";
  },
): number {
  const embedding = config.vocabSize * config.hiddenSize;
  const matrices = decoderTensors(config).filter(({ shape }) =>
    shape.length === 2 && shape[0] !== config.vocabSize
  );
  const weights = matrices.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, embedding);
  const attention = 3 * 4 * tokens * config.heads * config.headDim * config.layers;
  return rows * tokens * ((fit === "all" ? 6 : 4) * weights + attention);
}
