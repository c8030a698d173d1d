/**
 * `sppo info`: what a checkpoint is.
 *
 * @module
 */

import type { Checkpoint } from "../../models/checkpoints/open.ts";
import { cacheBytesPerToken } from "../../models/programs/decode.ts";
import { DEFAULT_SLOTS } from "../../models/language_model_options.ts";
import { totalBytes } from "../../models/memory/parts.ts";
import type { TrainingMemory } from "../../models/memory/training.ts";
import { oneLine } from "../errors.ts";
import { loadCheckpoint } from "../load_model.ts";
import { couldKeepEncoded } from "../memory/held_weights.ts";
import { infoOptions, trainOptions } from "../options/tables.ts";
import { byteSize } from "../progress.ts";
import { batchSettings, keepToMemory } from "../train/memory_plan.ts";
import { type InfoValues, settleInfo } from "../train/settle_info.ts";
import { trainMemory } from "../train/train_memory.ts";
import { expectedSteps } from "../train/decoding_steps.ts";
import { mayMerge } from "../train/settle_sampling.ts";
import { describeTime, runCounts, trainTime } from "../train/train_time.ts";
import type { Command } from "./command.ts";

/** The command. */
export const infoCommand: Command<typeof infoOptions> = {
  name: "info",
  summary: "what a checkpoint is",
  description:
    `Says what a checkpoint is, and about what memory and time sppo train will take with the options
given here on the native backend (Linux), for pairs of the given lengths. Memory comes from the headers
alone, time from running the first blocks of the model for a moment.`,
  options: infoOptions,
  async prepare({ layers, print, ...context }) {
    const given = settleInfo(layers);
    const { checkpoint } = await loadCheckpoint(given, context);
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
    const { tokenizer, template, usable } = await describeText(checkpoint);
    const estimate = trainMemory(checkpoint, given, {
      lengths: [{ promptTokens: given.promptTokens, responseTokens: given.maxTokens }],
      precision: given.precision,
      keepsFit: keepsFit(given),
    });
    const { iterations, trainable } = given;
    const { prompts } = runCounts(given);
    const answered = { ...given, prompts: prompts / iterations };
    const merges = mayMerge({
      ...{ ...given, lora: trainable === "lora" },
      stepsPerPolicy: expectedSteps([answered]),
    });
    const kept = given.memory === undefined ? undefined : keepToMemory(given, {
      ...{ memory: given.memory, estimate, sampling: true, merges, fixed: false },
      couldKeepEncoded: couldKeepEncoded(checkpoint, given),
    });
    const values = kept?.values ?? given;
    const side = Math.min(DEFAULT_SLOTS, values.promptsPerBatch * values.samples);
    const memory = estimate({
      ...batchSettings(values, {
        sampling: true,
        merges: merges && values.sampledAdapter !== "apart",
      }),
      rows: side,
    });
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
      ...describeMemory(memory),
    ];
    return {
      async run() {
        for (const [name, value] of rows) print(`${name.padEnd(17)}${value}`);
        if (kept !== undefined) print(kept.line);
        if (values.backend !== "onnx" || !usable) return;
        const time = await trainTime(checkpoint, values, context);
        for (const [name, value] of describeTime(time, config)) {
          print(`${name.padEnd(17)}${value}`);
        }
      },
    };
  },
};

/** Whether a fit takes more steps than pass between its checkpoints, as `train` has both by default. */
function keepsFit(
  { promptCount, promptsPerIteration, iterations, epochs, batch }: InfoValues,
): boolean {
  const each = promptsPerIteration === "split" ? promptCount / iterations : promptCount;
  return each * epochs > batch * trainOptions.checkpointEvery.default;
}

function describeMemory(memory: TrainingMemory): readonly (readonly [string, string])[] {
  return [
    ["training takes", byteSize(totalBytes(memory))],
    ...Object.entries({ ...memory }).map(([name, bytes]) =>
      [`  ${name}`, byteSize(bytes)] as const
    ),
  ];
}

interface DescribedText {
  readonly tokenizer: string;
  readonly template: string;
  /** Whether anything can be sampled or trained with it. */
  readonly usable: boolean;
}

async function describeText(checkpoint: Checkpoint): Promise<DescribedText> {
  try {
    const text = await checkpoint.text();
    const ends = text.endOfTurnIds
      .map((id) => `${id} ${JSON.stringify(text.tokenizer.decode([id]))}`).join(", ");
    return {
      tokenizer: `${text.tokenizer.vocabSize} tokens; ${
        ends ? `a turn ends with ${ends}` : "no end of turn"
      }`,
      template: text.template === undefined ? "none" : `${text.template.length} characters`,
      usable: true,
    };
  } catch (error) {
    return { tokenizer: `unusable: ${oneLine(error)}`, template: "unknown", usable: false };
  }
}
