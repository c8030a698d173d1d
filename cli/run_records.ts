/**
 * What a training run leaves in its folder, from the events of self-play.
 *
 * @module
 */

import type { Evaluation, SelfPlayEvent } from "../core/events.ts";
import type { WinRateAgainst } from "../core/evaluate.ts";
import type { Json } from "../core/journal.ts";
import type { Message, Prompt, Sampled } from "../core/policy.ts";
import { select } from "../core/selection.ts";
import type { LocalPolicy } from "../models/local_policy.ts";
import { peakMemory } from "./progress.ts";
import { preferenceRows, toResponseRecord } from "./records.ts";
import type { RunFolder } from "./run_folder.ts";

type Event = SelfPlayEvent<LocalPolicy>;
type Judged = Event & { readonly type: "judged" };

/** Options of {@linkcode runRecorder}. */
export interface RunRecorderOptions {
  /** Stands in an adapter's configuration when the checkpoint does not tell its name. */
  readonly baseModel: string;
  /** Name of the folder of what was trained. */
  readonly policyFolder: "adapter" | "model";
  /** Files of the checkpoint that belong beside a trained model: its tokenizer. */
  readonly extraFiles?: () => Promise<Readonly<Record<string, Uint8Array>>>;
}

/**
 * Writes what events bring. Files are written whole when their stage ends, and again when a run that
 * was interrupted goes through the stage again, with the same bytes.
 */
export function runRecorder(
  folder: RunFolder,
  options: RunRecorderOptions,
): (event: Event) => Promise<void> {
  let responses: string[] = [];
  let preferences: string[] = [];
  let pairs: string[] = [];
  const heldOut = new Map<number, string[]>();
  let known: ReadonlyMap<string, Json> | undefined;

  async function metric(key: string, record: Record<string, Json>): Promise<void> {
    known ??= await folder.metrics.records("metrics");
    if (!known.has(key)) await folder.metrics.append("metrics", key, record);
  }

  return async (event) => {
    switch (event.type) {
      case "stage-started":
        if (event.stage === "generate") responses = [];
        if (event.stage === "judge") [preferences, pairs] = [[], []];
        return;
      case "sampled":
        responses.push(sampledLine(event.sampled));
        return;
      case "judged":
        preferences.push(preferenceLine(event));
        pairs.push(...pairLine(event));
        return;
      case "stage-finished":
        if (event.stage === "generate") {
          await folder.write(`iteration-${event.iteration}/responses.jsonl`, responses.join(""));
        }
        if (event.stage === "judge") {
          await folder.write(
            `iteration-${event.iteration}/preferences.jsonl`,
            preferences.join(""),
          );
          await folder.write(`iteration-${event.iteration}/pairs.jsonl`, pairs.join(""));
        }
        return;
      case "step":
        return await metric(`iteration-${event.iteration}/step-${event.metrics.step}`, {
          iteration: event.iteration,
          ...finite(event.metrics),
          peak_memory_bytes: peakMemory(),
        });
      case "held-out":
        heldOut.set(event.iteration, [
          ...heldOut.get(event.iteration) ?? [],
          sampledLine(event.sampled),
        ]);
        return;
      case "evaluated": {
        const { iteration, evaluation } = event;
        const at = `iteration-${iteration}`;
        await folder.write(`${at}/held_out.jsonl`, (heldOut.get(iteration) ?? []).join(""));
        await folder.write(
          `${at}/evaluation.json`,
          `${JSON.stringify(evaluationRecord(evaluation), null, 2)}\n`,
        );
        heldOut.delete(iteration);
        return await metric(`${at}/evaluation`, {
          iteration,
          ...evaluationMetrics(evaluation),
        });
      }
      case "policy": {
        const path = `iteration-${event.iteration}/${options.policyFolder}`;
        if (!event.restored || !await folder.exists(`${path}/${WEIGHTS[options.policyFolder]}`)) {
          await writePolicy(folder, path, event.policy, options);
        }
        return;
      }
      case "iteration": {
        const { iteration, summary: { eta, statistics } } = event;
        const { trainedGroups, tiedGroups, droppedGroups, cyclicTriadShare } = statistics;
        return await metric(`iteration-${iteration}/judgements`, {
          iteration,
          eta,
          trained_groups: trainedGroups,
          tied_groups: tiedGroups,
          dropped_groups: droppedGroups,
          ...(statistics.chosenWinRate === undefined ? {} : {
            "win_rates/chosen": statistics.chosenWinRate,
            "win_rates/rejected": statistics.rejectedWinRate ?? null,
          }),
          ...(cyclicTriadShare === undefined ? {} : { cyclic_triad_share: cyclicTriadShare }),
        });
      }
      case "progress":
        return;
      default:
        return event satisfies never;
    }
  };
}

/** The file of a policy's folder that is written last. */
const WEIGHTS = { adapter: "adapter_model.safetensors", model: "model.safetensors" } as const;

async function writePolicy(
  folder: RunFolder,
  path: string,
  policy: LocalPolicy,
  { baseModel, policyFolder, extraFiles }: RunRecorderOptions,
): Promise<void> {
  const extra = policyFolder === "model" ? await extraFiles?.() : {};
  const files = { ...extra, ...await policy.files() };
  for (const [name, bytes] of Object.entries(files)) {
    await folder.write(
      `${path}/${name}`,
      name === "adapter_config.json" ? withBaseModel(bytes, baseModel) : bytes,
    );
  }
}

/** An adapter's configuration with the model it belongs to, where it has none. */
function withBaseModel(bytes: Uint8Array, baseModel: string): string {
  const config = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  config.base_model_name_or_path ??= baseModel;
  return `${JSON.stringify(config, null, 2)}\n`;
}

function line(record: unknown): string {
  return `${JSON.stringify(record)}\n`;
}

function sampledLine({ prompt, responses }: Sampled): string {
  return line({
    prompt_id: prompt.id,
    prompt: prompt.content,
    responses: responses.map(toResponseRecord),
  });
}

function preferenceLine({ sampled, judgement, winRates }: Judged): string {
  return line({
    prompt_id: sampled.prompt.id,
    preferences: preferenceRows(judgement),
    win_rates: [...winRates].map((rate) => Number.isNaN(rate) ? null : rate),
  });
}

/**
 * Best against worst, as the paper's code and TRL read it; nothing of a group that trains nothing.
 * `chosen_probs` is of the estimator's table, whose means the win rates are, as in the paper's code.
 */
function pairLine({ sampled, judgement, preferences, winRates }: Judged): string[] {
  const { best, worst, tied, dropped } = select(winRates);
  if (tied || dropped) return [];
  const chosenProbability = preferences[best * judgement.size + worst]!;
  return [line({
    prompt_id: sampled.prompt.id,
    chosen: conversation(sampled.prompt, sampled.responses[best]!.text),
    rejected: conversation(sampled.prompt, sampled.responses[worst]!.text),
    chosen_probs: Number.isNaN(chosenProbability) ? null : chosenProbability,
    chosen_probs_win: winRates[best],
    chosen_probs_lose: winRates[worst],
  })];
}

function conversation({ content }: Prompt, response: string): readonly Message[] {
  const before: readonly Message[] = typeof content === "string"
    ? [{ role: "user", content }]
    : content.map(({ role, content }) => ({ role, content }));
  return [...before, { role: "assistant", content: response }];
}

/** Metrics as JSON; numbers that are not finite become null. */
function finite(metrics: Readonly<Record<string, number>>): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}

/** The record of `evaluation.json`. */
export function evaluationRecord({ iteration, prompts, length, against }: Evaluation): Json {
  return {
    iteration,
    prompts,
    ...(length === undefined ? {} : { mean_length: { ...length } }),
    ...(against.previous ? { against_previous: winRateRecord(against.previous) } : {}),
    ...(against.reference ? { against_start: winRateRecord(against.reference) } : {}),
  };
}

function winRateRecord(rate: WinRateAgainst): Json {
  return {
    win_rate: rate.winRate ?? null,
    standard_error: rate.standardError ?? null,
    prompts: rate.prompts,
    dropped_prompts: rate.droppedPrompts,
    comparisons: rate.comparisons,
  };
}

function evaluationMetrics({ length, against }: Evaluation): Record<string, Json> {
  const rates = { previous: against.previous, start: against.reference };
  return {
    ...(length === undefined ? {} : { "eval_mean_length/words": length.words }),
    ...Object.fromEntries(
      Object.entries(rates).flatMap(([name, rate]) =>
        rate?.winRate === undefined ? [] : [[`eval_win_rate/${name}`, rate.winRate]]
      ),
    ),
  };
}
