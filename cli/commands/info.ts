/**
 * `sppo info`: what a checkpoint is.
 *
 * @module
 */

import type { Checkpoint } from "../../models/checkpoints/open.ts";
import { cacheBytesPerToken } from "../../models/programs/decode.ts";
import type { TrainingMemory } from "../../models/training/memory.ts";
import { oneLine } from "../errors.ts";
import { loadCheckpoint } from "../load_model.ts";
import { infoOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { byteSize } from "../progress.ts";
import { trainMemory } from "../train_memory.ts";
import type { Command } from "./command.ts";

/** The command. */
export const infoCommand: Command<typeof infoOptions> = {
  name: "info",
  summary: "what a checkpoint is",
  description:
    `Says what a checkpoint is, and about what memory sppo train will take with the options
given here on the native backend (Linux, LoRA or all weights, sampling in float32, pairs), from its
headers alone.`,
  options: infoOptions,
  async prepare({ layers, print, ...context }) {
    const values = resolveValues(infoOptions, layers);
    const { checkpoint } = await loadCheckpoint(values, context);
    const { config, format, tensors } = checkpoint;
    const encodings = new Map<string, number>();
    let [parameters, storedBytes] = [0, 0];
    for (const { encoding, shape, byteLength } of tensors.values()) {
      const size = shape.reduce((product, length) => product * length, 1);
      parameters += size;
      storedBytes += byteLength;
      encodings.set(encoding, (encodings.get(encoding) ?? 0) + size);
    }
    const shares = [...encodings].sort((a, b) => b[1] - a[1])
      .map(([name, size]) => `${name} ${(100 * size / parameters).toFixed(1)} %`).join(", ");
    const [tokenizer, template] = await describeText(checkpoint);
    const rows: readonly (readonly [string, string])[] = [
      ["model", config.name ?? values.model],
      ["format", format],
      ["architecture", config.architecture],
      ["parameters", parameters.toLocaleString("en")],
      ["stored as", shares],
      ["weights", `${byteSize(storedBytes)}, ${byteSize(4 * parameters)} in float32`],
      ["layers", `${config.layers} of size ${config.hiddenSize}`],
      [
        "heads",
        `${config.heads}, ${config.kvHeads} for keys and values, of size ${config.headDim}`,
      ],
      ["vocabulary", `${config.vocabSize}${config.tieWordEmbeddings ? ", tied" : ""}`],
      ["positions", `${config.maxPositions}`],
      ["tokenizer", tokenizer],
      ["chat template", template],
      ["cache per token", byteSize(cacheBytesPerToken(config))],
      ...describeMemory(trainMemory(checkpoint, values)),
    ];
    return {
      run() {
        for (const [name, value] of rows) print(`${name.padEnd(17)}${value}`);
        return Promise.resolve();
      },
    };
  },
};

const total = (memory: TrainingMemory): number =>
  Object.values({ ...memory }).reduce((sum, bytes) => sum + bytes, 0);

function describeMemory(memory: TrainingMemory): readonly (readonly [string, string])[] {
  return [
    ["training takes", byteSize(total(memory))],
    ...Object.entries({ ...memory }).map(([name, bytes]) =>
      [`  ${name}`, byteSize(bytes)] as const
    ),
  ];
}

async function describeText(
  checkpoint: Checkpoint,
): Promise<[tokenizer: string, template: string]> {
  try {
    const text = await checkpoint.text();
    const ends = text.endOfTurnIds
      .map((id) => `${id} ${JSON.stringify(text.tokenizer.decode([id]))}`).join(", ");
    return [
      `${text.tokenizer.vocabSize} tokens; ${ends ? `a turn ends with ${ends}` : "no end of turn"}`,
      text.template === undefined ? "none" : `${text.template.length} characters`,
    ];
  } catch (error) {
    return [`unusable: ${oneLine(error)}`, "unknown"];
  }
}
