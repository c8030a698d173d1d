/**
 * Our side of `web_training.ts`: the step as two programs, gradients and AdamW, on one of our backends.
 * Arguments: size, backend, threads.
 *
 * @module
 */

import { loadBackend } from "../../cli/load_model.ts";
import type { BACKENDS } from "../../cli/options/shared.ts";
import {
  fromFloat32,
  gradients,
  type HostTensor,
  ProgramBuilder,
  simplify,
} from "../../graph/mod.ts";
import { decoderHidden, vocabulary } from "../../models/architectures/decoder.ts";
import { WEIGHTS } from "../../models/architectures/layout.ts";
import { OPTIMIZERS } from "../../models/mod.ts";
import { GRADIENTS } from "../../models/programs/likelihood.ts";
import {
  MOMENTS,
  momentTensors,
  optimizerProgram,
  stepInputs,
} from "../../models/programs/optimizer.ts";
import { serve } from "./_web_side.ts";
import { ADAM, ROWS, type SizeName, SIZES, texts, TIME, weightsOf } from "./_web_llama.ts";

const [size, name, threads] = Deno.args as [SizeName, typeof BACKENDS[number], string];
const config = SIZES[size];
const resources = new AsyncDisposableStack(); // the process ends with its input
const backend = await loadBackend({ backend: name, threads: Number(threads) }, resources);

const weights = await weightsOf(config);
const tensors = weights.map(({ name, shape }) => ({ name, shape }));
const stores = {
  [WEIGHTS]: await backend.createStore(
    weights.map(({ name, shape, values }) => fromFloat32(name, shape, values)),
  ),
  [GRADIENTS]: await backend.createStore(tensors),
  [MOMENTS]: await backend.createStore(momentTensors(OPTIMIZERS.adamw, tensors)),
};

/** The mean of −log p of each next token, and its gradients. */
function gradientProgram() {
  const g = new ProgramBuilder("gradient");
  const ids = g.input("ids", "int32", [ROWS, TIME]);
  const hidden = decoderHidden(g, config, {
    ids,
    positions: g.iota([ROWS, TIME], 1),
    attend: (_, query, key, value, { scale }) =>
      g.attention(query, key, value, { scale, mask: { kind: "causal" } }),
  });
  const rows = g.reshape(hidden, [ROWS * TIME, config.hiddenSize]);
  const targets = g.input("targets", "int32", [ROWS * TIME]);
  const logProbs = g.tokenLogProb(rows, vocabulary(g, config, "output"), targets);
  const loss = g.mul(g.reduceSum(logProbs), g.constant(-1 / (ROWS * TIME)));
  g.output("loss", loss);
  const found = gradients(
    g,
    loss,
    tensors.map(({ name, shape }) => g.parameter(WEIGHTS, name, shape)),
  );
  tensors.forEach(({ name }, index) => g.update(GRADIENTS, name, found[index]!));
  return simplify(g.build());
}

const gradient = (await backend.compile(gradientProgram())).bind({
  [WEIGHTS]: stores[WEIGHTS],
  [GRADIENTS]: stores[GRADIENTS],
});
const update = (await backend.compile(
  optimizerProgram(OPTIMIZERS.adamw, { scope: WEIGHTS, tensors }),
)).bind(stores);
const { inputs, targets } = texts(config);
const given = {
  ids: { shape: [ROWS, TIME], data: inputs },
  targets: { shape: [ROWS * TIME], data: targets },
};
const lossOf = async () => (await gradient.run(given)).loss!.data[0]!;
let steps = 0;

await serve({ deno: Deno.version.deno, ...backend.versions }, {
  async gradients() {
    const loss = await lossOf();
    const found = new Map<string, Float32Array>();
    for (const { name } of tensors) found.set(name, await stores[GRADIENTS].read(name));
    return { loss, gradients: found };
  },
  async step() {
    const loss = await lossOf();
    const numbers = stepInputs(OPTIMIZERS.adamw, ++steps, ADAM.learningRate, 1);
    const scalars = Object.entries(numbers).map(([name, value]): [string, HostTensor] => [
      name,
      { shape: [1], data: Float32Array.of(value) },
    ]);
    await update.run(Object.fromEntries(scalars));
    return loss;
  },
});
