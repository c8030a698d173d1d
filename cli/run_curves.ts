/**
 * Curves of training runs, from what they leave in their folders.
 *
 * @module
 */

import { join } from "node:path";
import { fileError, shortly } from "./errors.ts";
import type { PlotPoint } from "./plots/line_plot.ts";
import { readTable } from "./table_file.ts";

/** A run. */
export interface RunCurves {
  /** The folder, as it was given. */
  readonly folder: string;
  /** The objective. */
  readonly loss: string;
  /** Lines of metrics.jsonl. */
  readonly metrics: readonly Readonly<Record<string, unknown>>[];
  /** Standard errors of win rates against the start, by iteration. */
  readonly errors: ReadonlyMap<number, number>;
}

/**
 * Reads a run's folder.
 *
 * @throws {Error} When it is none, or has measured nothing yet.
 */
export async function readRun(folder: string): Promise<RunCurves> {
  const config = await readObject(join(folder, "config.json"));
  const metrics: Record<string, unknown>[] = [];
  for await (const { fields } of readTable(join(folder, "metrics.jsonl"))) metrics.push(fields);
  const errors = new Map<number, number>();
  for (const record of metrics) {
    if (!(WIN_RATE in record)) continue;
    const iteration = Number(record.iteration);
    const evaluation = await readObject(join(folder, `iteration-${iteration}`, "evaluation.json"));
    const against = evaluation.against_start as { standard_error?: number | null } | undefined;
    const error = against?.standard_error ?? undefined;
    if (error !== undefined) errors.set(iteration, error);
  }
  return { folder, loss: String(config.loss), metrics, errors };
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  const value: unknown = JSON.parse(text);
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new TypeError(`Cannot read ${path} as it must hold a JSON object: ${shortly(value)}`);
}

/** The metric that evaluations are about: how often the policy wins against its start. */
export const WIN_RATE = "eval_win_rate/start";

/** Whether a metric is of iterations; others are of steps. */
export function perIteration(runs: readonly RunCurves[], metric: string): boolean {
  return runs.some(({ metrics }) =>
    metrics.some((record) => record[metric] !== undefined && record.global_step === undefined)
  );
}

/** Names of the numbers that a run has measured. */
export function metricNames(runs: readonly RunCurves[]): string[] {
  const names = new Set<string>();
  for (const { metrics } of runs) {
    for (const record of metrics) {
      for (const [name, value] of Object.entries(record)) {
        if (typeof value === "number") names.add(name);
      }
    }
  }
  return [...names].sort();
}

/** A metric of a run by step, or by iteration; win rates from ½ on, within a standard error. */
export function curveOf({ metrics, errors }: RunCurves, metric: string): PlotPoint[] {
  const points = metrics.flatMap((record): PlotPoint[] => {
    const y = record[metric];
    if (typeof y !== "number") return [];
    const iteration = Number(record.iteration);
    const error = metric === WIN_RATE ? errors.get(iteration) : undefined;
    return [{
      x: Number(record.global_step ?? iteration),
      y,
      ...(error === undefined ? {} : { low: y - error, high: y + error }),
    }];
  });
  return metric === WIN_RATE && points.length > 0 ? [{ x: 0, y: 0.5 }, ...points] : points;
}
