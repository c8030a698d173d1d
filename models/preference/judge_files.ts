/**
 * Trained judges as files: what was fitted, and the name of the model that it was fitted on.
 *
 * - `judge.json`: kind, base model, longest input, and what a preference is made of;
 * - `head.safetensors`: `head.weight`;
 * - `adapter_config.json` and `adapter_model.safetensors`, as PEFT writes them, where there is an
 *   adapter.
 *
 * @module
 */

import { readAsFloat32 } from "../../graph/mod.ts";
import { readJsonObject } from "../checkpoints/byte_source.ts";
import type { Checkpoint, CheckpointFiles } from "../checkpoints/open.ts";
import { writeAdapter } from "../checkpoints/peft.ts";
import { openSafetensors, ownFile, writeSafetensors } from "../checkpoints/safetensors.ts";
import { fromFloat32 } from "../../graph/mod.ts";
import { loadAdapter } from "../policy_files.ts";
import { decoderLayout } from "./conversation_layout.ts";
import { HEAD } from "./judge_gradient.ts";
import { headOutputs, type PreferenceHead } from "./preference_head.ts";
import { linearHead } from "./response_heads.ts";
import type { ReaderParts } from "./response_reader.ts";
import type { TrainedJudge, TrunkParts } from "./train_judge.ts";
import { decoderTrunk } from "./trunk.ts";

const DESCRIPTION = "judge.json";
const HEAD_FILE = "head.safetensors";
const MAX_JSON_BYTES = 1 << 20;

/** A decoder without its vocabulary matrix, for a judge to be built on. */
export async function checkpointTrunk(checkpoint: Checkpoint): Promise<TrunkParts> {
  return {
    layout: await decoderLayout(await checkpoint.text()),
    trunk: decoderTrunk(checkpoint.config),
    tensors: checkpoint.tensors,
  };
}

/** The parts of a trained judge on its trunk. */
export function judgeParts(
  trunk: TrunkParts,
  { head, matrix, adapter, maxTokens }: TrainedJudge,
): ReaderParts {
  const name = HEAD.replace(/\.weight$/, "");
  return {
    ...trunk,
    head: linearHead(name, trunk.trunk.hiddenSize, headOutputs(head)),
    tensors: new Map([...trunk.tensors, [HEAD, fromFloat32(HEAD, matrix.shape, matrix.data)]]),
    ...(adapter ? { adapter } : {}),
    maxTokens,
  };
}

/**
 * The files of a trained judge.
 *
 * @param base What names the model it was trained on: a folder, a file, a name on the hub.
 */
export function judgeFiles(
  { head, matrix, adapter, maxTokens }: TrainedJudge,
  base: string,
): Record<string, Uint8Array> {
  const description = { ...head, base_model: base, max_tokens: maxTokens };
  return {
    [DESCRIPTION]: new TextEncoder().encode(`${JSON.stringify(description, null, 2)}\n`),
    [HEAD_FILE]: writeSafetensors(new Map([[HEAD, matrix]])),
    ...(adapter
      ? writeAdapter(adapter.tensors, {
        rank: adapter.lora.rank,
        alpha: adapter.lora.alpha,
        ...(adapter.lora.rsLora ? { rsLora: true } : {}),
        baseModel: base,
      })
      : {}),
  };
}

/** Whether files are those of a trained judge. */
export function isTrainedJudge(files: CheckpointFiles): boolean {
  return ownFile(files, DESCRIPTION) !== undefined;
}

/**
 * Reads a trained judge.
 *
 * @param openBase Opens the model that `judge.json` names.
 * @throws {Error} If a file is absent.
 * @throws {RangeError} If it does not describe a judge, or does not fit its base.
 */
export async function openTrainedJudge(
  files: CheckpointFiles,
  openBase: (base: string) => Promise<Checkpoint>,
): Promise<{ readonly head: PreferenceHead; readonly parts: ReaderParts }> {
  const file = (name: string) => {
    const found = ownFile(files, name);
    if (!found) throw new Error(`Cannot open the judge as ${name} must be there: it is absent`);
    return found;
  };
  const json = await readJsonObject(file(DESCRIPTION), { maxBytes: MAX_JSON_BYTES });
  const { base_model: base, max_tokens: maxTokens } = json;
  const head = headIn(json);
  if (typeof base !== "string" || !Number.isSafeInteger(maxTokens) || (maxTokens as number) < 1) {
    throw new RangeError(
      `Cannot read ${DESCRIPTION} as base_model must be a text and max_tokens a whole number: ` +
        `${JSON.stringify(base)}, ${JSON.stringify(maxTokens)}`,
    );
  }
  const checkpoint = await openBase(base);
  const stored = (await openSafetensors(file(HEAD_FILE))).tensors.get(HEAD);
  if (!stored) throw new Error(`Cannot open ${HEAD_FILE} as it must hold ${HEAD}: it does not`);
  const matrix = { shape: stored.shape, data: await readAsFloat32(stored) };
  const adapted = ownFile(files, "adapter_config.json") !== undefined;
  const adapter = adapted ? await loadAdapter(files, checkpoint.config) : undefined;
  const judge = { head, matrix, maxTokens: maxTokens as number, ...(adapter ? { adapter } : {}) };
  return { head, parts: judgeParts(await checkpointTrunk(checkpoint), judge) };
}

function headIn({ kind, dimension, tau }: Readonly<Record<string, unknown>>): PreferenceHead {
  if (kind === "bradley-terry") return { kind };
  if (
    kind === "general-preference" && typeof dimension === "number" && typeof tau === "number"
  ) {
    const head = { kind, dimension, tau } as const;
    headOutputs(head);
    return head;
  }
  throw new RangeError(
    `Cannot read ${DESCRIPTION} as kind must be bradley-terry, or general-preference with dimension and tau: ${
      JSON.stringify(kind)
    }`,
  );
}
