/**
 * What a training run leaves in its folder, from the events of self-play.
 *
 * @module
 */

import type { Evaluation, SelfPlayEvent, Stage } from "../core/events.ts";
import type { WinRateAgainst } from "../core/evaluate.ts";
import type { Json } from "../core/journal.ts";
import type { Message, Prompt, Sampled } from "../core/policy.ts";
import { preferenceRows } from "../core/records.ts";
import { select } from "../core/selection.ts";
import type { LocalPolicy } from "../models/local_policy.ts";
import { peakMemory } from "./peak_memory.ts";
import { toResponseRecord } from "./records.ts";
import type { RunFolder } from "./run_folder.ts";
import type { WholeFile } from "./whole_file.ts";

type Event = SelfPlayEvent<LocalPolicy>;
type Judged = Event & { readonly type: "judged" };

/** Options of {@linkcode runRecorder}. */
export interface RunRecorderOptions {
  /** Stands in an adapter's configuration when the checkpoint does not tell its name. */
  readonly baseModel: string;
  /** Name of the folder of what was trained. */
  readonly policyFolder: "adapter" | "model";
  /** Files of the checkpoint that belong beside a trained model: its tokenizer. */
  readonly extraFiles?: Readonly<Record<string, Uint8Array>>;
}

/** Writes events into a run's folder; disposing it gives up the files of a stage that has not ended. */
export interface RunRecorder extends AsyncDisposable {
  record(event: Event): Promise<void>;
}

/** The files of each stage, which are in their places once it has ended. */
const STAGE_FILES = {
  generate: ["responses"],
  judge: ["preferences", "pairs"],
  train: [],
  evaluate: ["held_out"],
} as const satisfies Record<Stage, readonly string[]>;

type StageFile = typeof STAGE_FILES[Stage][number];

/**
 * A recorder. Lines go to a stage's files as they come; the files are put in their places when the
 * stage ends, and again when a run that was interrupted goes through the stage again, with the same
 * bytes.
 */
export function runRecorder(folder: RunFolder, options: RunRecorderOptions): RunRecorder {
  /** The stage's files, in the order of {@linkcode STAGE_FILES}. */
  const open = new Map<StageFile, WholeFile>();
  /** The iteration whose stage goes on. */
  let current = 0;
  /** Keys of the metrics that are in the file. */
  let known: Set<string> | undefined;

  async function metric(key: string, record: Record<string, Json>): Promise<void> {
    known ??= new Set((await folder.metrics.records("metrics")).keys());
    if (known.has(key)) return;
    await folder.metrics.append("metrics", key, record);
    known.add(key);
  }

  /** Steps of the iterations before one. */
  async function stepsBefore(iteration: number): Promise<number> {
    known ??= new Set((await folder.metrics.records("metrics")).keys());
    let steps = 0;
    for (const key of known) {
      const [, of] = /^iteration-(\d+)\/step-\d+$/.exec(key) ?? [];
      if (of !== undefined && Number(of) < iteration) steps++;
    }
    return steps;
  }

  async function giveUp(): Promise<void> {
    for (const file of open.values()) await file[Symbol.asyncDispose]();
    open.clear();
  }

  async function record(event: Event): Promise<void> {
    switch (event.type) {
      case "stage-started":
        await giveUp();
        current = event.iteration;
        for (const name of STAGE_FILES[event.stage]) {
          open.set(name, await folder.begin(`iteration-${event.iteration}/${name}.jsonl`));
        }
        return;
      case "sampled":
        return await open.get("responses")?.write(sampledLine(event.sampled));
      case "judged":
        await open.get("preferences")?.write(preferenceLine(event));
        return await open.get("pairs")?.write(pairLine(event));
      case "stage-finished":
        for (const file of open.values()) await file.commit();
        open.clear();
        return;
      case "step": {
        const { iteration, metrics: { step } } = event;
        // Without a step: what was left out of a fit that had nothing to train on.
        return await metric(
          `iteration-${iteration}/${step === undefined ? "fit" : `step-${step}`}`,
          {
            iteration,
            ...step === undefined ? {} : { global_step: await stepsBefore(iteration) + step },
            ...finite(event.metrics),
            peak_memory_bytes: peakMemory(),
          },
        );
      }
      case "held-out":
        // A run that goes on may bring the responses of the policy before once more.
        if (event.iteration === current) {
          await open.get("held_out")?.write(sampledLine(event.sampled));
        }
        return;
      case "evaluated": {
        const { iteration, evaluation } = event;
        const at = `iteration-${iteration}`;
        await folder.write(
          `${at}/evaluation.json`,
          `${JSON.stringify(evaluationRecord(evaluation), null, 2)}\n`,
        );
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
        const { trainedGroups, tiedGroups, droppedGroups, cyclicTriadShare, cost } = statistics;
        return await metric(`iteration-${iteration}/judgements`, {
          iteration,
          eta,
          trained_groups: trainedGroups,
          tied_groups: tiedGroups,
          dropped_groups: droppedGroups,
          dropped_responses: statistics.droppedResponses,
          ...(statistics.chosenWinRate === undefined ? {} : {
            "win_rates/chosen": statistics.chosenWinRate,
            "win_rates/rejected": statistics.rejectedWinRate ?? null,
          }),
          ...(statistics.reward === undefined
            ? {}
            : { reward: statistics.reward, kl: statistics.kl ?? null }),
          ...(cyclicTriadShare === undefined ? {} : { cyclic_triad_share: cyclicTriadShare }),
          ...(cost === undefined ? {} : {
            "judge_cost/tokens": cost.tokens,
            "judge_cost/requests": cost.requests,
            "judge_cost/currency": cost.currency,
          }),
          ...Object.fromEntries(
            Object.entries(statistics.counts ?? {})
              .map(([name, count]) => [`judge_counts/${name}`, count]),
          ),
        });
      }
      case "progress":
        return;
      default:
        return event satisfies never;
    }
  }

  return { record, [Symbol.asyncDispose]: giveUp };
}

/** The file of a policy's folder that is written last. */
const WEIGHTS = { adapter: "adapter_model.safetensors", model: "model.safetensors" } as const;

async function writePolicy(
  folder: RunFolder,
  path: string,
  policy: LocalPolicy,
  { baseModel, policyFolder, extraFiles }: RunRecorderOptions,
): Promise<void> {
  const extra = policyFolder === "model" ? extraFiles : {};
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
function pairLine({ sampled, judgement, preferences, winRates }: Judged): string {
  const { best, worst, tied, dropped } = select(winRates);
  if (tied || dropped) return "";
  const chosenProbability = preferences[best * judgement.size + worst]!;
  return line({
    prompt_id: sampled.prompt.id,
    chosen: conversation(sampled.prompt, sampled.responses[best]!.text),
    rejected: conversation(sampled.prompt, sampled.responses[worst]!.text),
    chosen_probs: Number.isNaN(chosenProbability) ? null : chosenProbability,
    chosen_probs_win: winRates[best],
    chosen_probs_lose: winRates[worst],
  });
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
