/**
 * What a training run shows: bars as it goes on, a table at its end.
 *
 * @module
 */

import type { WinRateAgainst } from "../core/evaluate.ts";
import type { Evaluation, IterationSummary, SelfPlayEvent } from "../core/events.ts";
import type { LocalPolicy } from "../models/local_policy.ts";
import { duration, type Progress, shortNumber, textTable } from "./progress.ts";
import type { RunFolder } from "./run_folder.ts";

/** Mean loss over the steps of each iteration, those of earlier runs with them. */
export async function meanLosses(folder: RunFolder): Promise<ReadonlyMap<number, number>> {
  const sums = new Map<number, { loss: number; steps: number }>();
  for (const record of (await folder.metrics.records("metrics")).values()) {
    const { iteration, step, loss } = record as { iteration: number; step?: number; loss?: number };
    if (step === undefined) continue;
    const sum = sums.get(iteration) ?? { loss: 0, steps: 0 };
    sums.set(iteration, { loss: sum.loss + (loss ?? NaN), steps: sum.steps + 1 });
  }
  return new Map([...sums].map(([iteration, { loss, steps }]) => [iteration, loss / steps]));
}

/** Shows events as they come. */
export function display(progress: Progress): {
  event(event: SelfPlayEvent<LocalPolicy>): void;
  /** Time of each iteration that ran in this process. */
  readonly seconds: ReadonlyMap<number, number>;
} {
  const names = {
    generate: "responses",
    judge: "judgements",
    train: "training",
    evaluate: "evaluation",
  } as const;
  const units = {
    generate: "prompts",
    judge: "prompts",
    train: "steps",
    evaluate: "items",
  } as const;
  const seconds = new Map<number, number>();
  let started = performance.now();
  return {
    seconds,
    event(event) {
      const label = "stage" in event
        ? `${event.iteration === 0 ? "start" : `iteration ${event.iteration}`}: ${
          names[event.stage]
        }`
        : "";
      switch (event.type) {
        case "stage-started":
          if (event.stage === "generate") started = performance.now();
          return progress.update(
            label,
            0,
            event.stage === "train" ? 0 : event.total,
            units[event.stage],
          );
        case "progress":
          return progress.update(label, event.done, event.total, units[event.stage]);
        case "step": {
          const { step = 0, loss = NaN, total_steps = 0 } = event.metrics;
          const normalized = event.metrics["loss/normalized"] ?? loss;
          return progress.update(
            `iteration ${event.iteration}: training`,
            step,
            total_steps,
            "steps",
            `loss ${shortNumber(normalized)}`,
          );
        }
        case "evaluated": {
          const { reference } = event.evaluation.against;
          if (event.iteration > 0) {
            progress.line(
              `iteration ${event.iteration}: wins against the start ${percent(reference)}`,
            );
          }
          return;
        }
        case "iteration":
          if (!event.restored) {
            seconds.set(event.iteration, (performance.now() - started) / 1000);
          }
          return;
        case "stage-finished":
        case "sampled":
        case "judged":
        case "held-out":
        case "policy":
          return;
        default:
          return event satisfies never;
      }
    },
  };
}

function percent(rate: WinRateAgainst | undefined): string {
  if (rate?.winRate === undefined) return "-";
  const error = rate.standardError === undefined
    ? ""
    : ` ± ${(100 * rate.standardError).toFixed(1)}`;
  return `${(100 * rate.winRate).toFixed(1)} %${error}`;
}

/** The table at the end of a run. */
export function closingTable(
  initial: Evaluation | undefined,
  iterations: readonly IterationSummary[],
  losses: ReadonlyMap<number, number>,
  seconds: ReadonlyMap<number, number>,
): string {
  const rows = iterations.map(({ iteration, statistics, evaluation }) => {
    const loss = losses.get(iteration);
    const time = seconds.get(iteration);
    return [
      String(iteration),
      percent(evaluation?.against.previous),
      percent(evaluation?.against.reference),
      evaluation?.length?.words.toFixed(1) ?? "-",
      `${statistics.trainedGroups}/${statistics.groups}`,
      loss === undefined ? "-" : shortNumber(loss),
      time === undefined ? "-" : duration(time),
    ];
  });
  const head = ["iteration", "wins/previous", "wins/start", "words", "trained", "loss", "time"];
  const words = initial?.length?.words.toFixed(1);
  const start = words === undefined ? [] : [["start", "-", "-", words, "-", "-", "-"]];
  return textTable(head, [...start, ...rows]);
}
