/**
 * The training step of a language model in small.
 *
 * @module
 */

import { decompose, grad, interpret, type Store } from "../../../graph/mod.ts";
import { tinyInputs, tinyLlama, tinyStores, tinyTrainable } from "../../graph/_tiny_llama.ts";
import { assertClose, type Case, storeOf } from "./_support.ts";

/** The loss and gradients of a two-layer Llama with LoRA. */
export const modelCases: readonly Case[] = [1, 3].flatMap((chunks) =>
  [false, true].map((decomposed): Case => ({
    name: `the gradients of a two-layer Llama with LoRA, ${chunks} chunk${chunks > 1 ? "s" : ""}` +
      (decomposed ? ", decomposed" : ""),
    async run(backend, tolerance) {
      const differentiated = grad(tinyLlama({ chunks }), "loss", tinyTrainable);
      const tensors = tinyStores(3);
      const stores: Record<string, Store> = {};
      for (const [scope, entries] of Object.entries(tensors)) {
        stores[scope] = await storeOf(backend, entries);
      }
      const { base, ...others } = stores;
      const executable = await backend.compile(
        decomposed ? decompose(differentiated) : differentiated,
        { constants: { base: base! } },
      );
      const bound = executable.bind(others);
      for (const [batch, time] of [[2, 5], [1, 4]] as const) {
        const inputs = tinyInputs(batch, time);
        const want = interpret(differentiated, { inputs, stores: tensors }).outputs;
        const got = await bound.run(inputs);
        for (const name of Object.keys(want)) {
          assertClose(got[name]!, want[name]!, tolerance, `${name} at ${batch}×${time}`);
        }
      }
      await executable.dispose();
    },
  }))
);
