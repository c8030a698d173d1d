/**
 * An adapter merged into the matrices it is on, W + s·B·A, beside the base's other tensors.
 *
 * @module
 */

import { type Program, ProgramBuilder } from "../../graph/mod.ts";
import {
  ADAPTER,
  type DecoderConfig,
  linearLayers,
  loraScale,
  type LoraShape,
  loraTensors,
  type NamedShape,
  WEIGHTS,
} from "../architectures/mod.ts";

/** Scope of the matrices that an adapter was merged into. */
export const MERGED = "merged";

/** Names and shapes of the matrices that an adapter is on, [O, I] each. */
export function mergedMatrices(config: DecoderConfig, lora: LoraShape): NamedShape[] {
  const adapted = new Set(loraTensors(config, lora).map(({ name }) => name));
  return [...linearLayers(config)]
    .filter(([path]) => adapted.has(`${path}.lora_A.weight`))
    .map(([path, { outputs, inputs }]) => ({ name: `${path}.weight`, shape: [outputs, inputs] }));
}

/** Writes W + (s·B)·A of each matrix that an adapter is on to the scope `merged`. */
export function mergeProgram(config: DecoderConfig, lora: LoraShape): Program {
  const g = new ProgramBuilder("merge");
  const scale = g.constant(loraScale(lora));
  for (const { name, shape } of mergedMatrices(config, lora)) {
    const [outputs, inputs] = shape as [number, number];
    const path = name.slice(0, -".weight".length);
    const base = g.parameter(WEIGHTS, name, shape);
    const a = g.parameter(ADAPTER, `${path}.lora_A.weight`, [lora.rank, inputs]);
    const b = g.parameter(ADAPTER, `${path}.lora_B.weight`, [outputs, lora.rank]);
    g.update(MERGED, name, g.add(base, g.matmul(g.mul(b, scale), a))); // [O, I]
  }
  return g.build();
}

/** A program without an adapter that reads the matrices of one from where it was merged into them. */
export function onMerged(program: Program, config: DecoderConfig, lora: LoraShape): Program {
  const merged = new Set(mergedMatrices(config, lora).map(({ name }) => name));
  const parameters = program.parameters.map((parameter) =>
    parameter.scope === WEIGHTS && merged.has(parameter.name)
      ? { ...parameter, scope: MERGED }
      : parameter
  );
  return { ...program, parameters };
}
