/**
 * Measurements as tables, as advice and as data.
 *
 * @module
 */

import type { Use } from "./case.ts";
import type { Contestant, LeftOut } from "./contestants.ts";
import { least, type Measured, median } from "./measure.ts";
import { type QuestionName, questions } from "./questions.ts";

/** Three digits: 0.0123, 1.23, 123, 12,300. */
export function threeDigits(value: number): string {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const rounded = Number(value.toPrecision(3));
  return rounded.toLocaleString("en", {
    minimumFractionDigits: Math.min(digits, 4),
    maximumFractionDigits: Math.min(digits, 4),
  });
}

/** Lines with columns as wide as their widest cell; the first is aligned to the left. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  );
}

/** Measurements of one case, the fastest first. */
function byCase(measured: readonly Measured[]): Measured[][] {
  const cases = new Map<Measured["case"], Measured[]>();
  for (const one of measured) cases.set(one.case, [...(cases.get(one.case) ?? []), one]);
  return [...cases.values()].map((all) => all.toSorted((a, b) => least(a.times) - least(b.times)));
}

const amount = (value: number, units: readonly string[]) => {
  const power = Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${threeDigits(value / 1000 ** power)} ${units[power]}`;
};

/** What a run has to do: `1.81 GFLOP, 12.2 MB`. */
export function work({ flops, bytes, tokens }: Measured["case"]): string {
  return [
    ...flops > 0 ? [amount(flops, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"])] : [],
    ...bytes > 0 ? [amount(bytes, ["B", "kB", "MB", "GB"])] : [],
    ...tokens === undefined ? [] : [`${tokens} token${tokens === 1 ? "" : "s"}`],
  ].join(", ");
}

/** Columns of a table of times; rates are of the least time. */
const RATES: Readonly<Record<string, (of: Measured["case"]) => number>> = {
  "GFLOP/s": ({ flops }) => flops / 1e6,
  "GB/s": ({ bytes }) => bytes / 1e6,
  "tokens/s": ({ tokens = 0 }) => tokens * 1000,
};

/** Times of one question, case by case, each backend beside the fastest. */
export function timesTable(name: QuestionName, measured: readonly Measured[]): string[] {
  const lines = [`${name}: ${questions[name].asks}`];
  for (const all of byCase(measured)) {
    const { case: what, times: shortest } = all[0]!;
    const rates = Object.entries(RATES).filter(([, count]) => count(what) > 0);
    lines.push(
      "",
      `${what.name} (${work(what)})`,
      ...columns([
        ["  backend", "ms", "median", "runs", ...rates.map(([unit]) => unit), "times the best"],
        ...all.map(({ backend, times }) => [
          `  ${backend}`,
          threeDigits(least(times)),
          threeDigits(median(times)),
          `${times.length}`,
          ...rates.map(([, count]) => threeDigits(count(what) / least(times))),
          threeDigits(least(times) / least(shortest)),
        ]),
      ]),
    );
  }
  return lines;
}

/** What comes before a second run, in milliseconds. */
export function startTable(
  contestants: readonly Contestant[],
  measured: readonly Measured[],
): string[] {
  const rows = contestants.flatMap(({ name, openMs }) => [
    [`  ${name}`, threeDigits(openMs), "", "", ""],
    ...measured.filter(({ backend, case: what }) => backend === name && what.tokens !== undefined)
      .map(({ case: what, start }) => [
        `    ${what.name}`,
        "",
        threeDigits(start.loadMs),
        threeDigits(start.compileMs),
        threeDigits(start.firstMs),
      ]),
  ]);
  if (rows.length === 0) return [];
  return [
    "start: milliseconds before a backend and its programs are warm",
    "",
    ...columns([["  backend", "open", "load", "compile", "first run"], ...rows]),
  ];
}

/** Which backend is best for what. */
export interface Advice {
  readonly use: Use;
  readonly backend: string;
  readonly tokensPerSecond: number;
  /** The next one, and how many times as long it takes. */
  readonly next?: { readonly backend: string; readonly times: number };
}

/** The fastest backend of each question that decides a use, by its last case. */
export function advise(measured: readonly Measured[]): Advice[] {
  return Object.entries(questions).flatMap(([name, question]) => {
    if (!("decides" in question)) return [];
    const last = question.cases.at(-1);
    const [all] = byCase(
      measured.filter(({ question, case: what }) => question === name && what === last),
    );
    if (all === undefined) return [];
    const [best, next] = all;
    const ms = least(best!.times);
    return [{
      use: question.decides,
      backend: best!.backend,
      tokensPerSecond: best!.case.tokens! / ms * 1000,
      ...next === undefined
        ? {}
        : { next: { backend: next.backend, times: least(next.times) / ms } },
    }];
  });
}

/** The advice as lines. */
export function adviceLines(advice: readonly Advice[]): string[] {
  if (advice.length === 0) return [];
  return [
    "Best here, for models of the embedded policy's size:",
    ...columns(advice.map(({ use, backend, tokensPerSecond, next }) => [
      `  ${use}`.padEnd(14) + `--backend ${backend}`,
      `${threeDigits(tokensPerSecond)} tokens/s`,
      next === undefined ? "" : `${next.backend} takes ${threeDigits(next.times)} times as long`,
    ])),
  ];
}

/** What was not measured. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  if (leftOut.length === 0) return [];
  return ["Not measured:", ...leftOut.map(({ name, reason }) => `  ${name}: ${reason}`)];
}

/** Measurements as JSON: sizes, milliseconds of each run, what came before. */
export function asRecords(measured: readonly Measured[]): unknown[] {
  return measured.map(({ question, case: what, backend, start, times }) => ({
    question,
    case: what.name,
    backend,
    flops: what.flops,
    bytes: what.bytes,
    ...(what.tokens === undefined ? {} : { tokens: what.tokens }),
    least_ms: least(times),
    median_ms: median(times),
    times_ms: times,
    load_ms: start.loadMs,
    compile_ms: start.compileMs,
    first_run_ms: start.firstMs,
  }));
}
