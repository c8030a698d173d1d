/**
 * What a comparison found: as a table, as JSON and as a section of a document.
 *
 * @module
 */

import os from "node:os";
import { textTable } from "../../cli/progress.ts";
import { median } from "./_interleave.ts";

/** Runs of one contender. */
export interface Measurement {
  readonly name: string;
  /** Tokens of one run: fed in training, new in generation. */
  readonly tokens: number;
  readonly seconds: readonly number[];
  readonly median_seconds: number;
  readonly min_seconds: number;
  readonly max_seconds: number;
  readonly tokens_per_second: number;
}

/** One contender against another, run by run. */
export interface Comparison {
  readonly name: string;
  /** How many times as fast, in each round. */
  readonly ratios: readonly number[];
  readonly median_ratio: number;
}

/** A comparison's record. */
export interface Report {
  readonly benchmark: string;
  /** What a run's `tokens` are, where they are something else. */
  readonly unit?: string;
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly arch: string;
    /** Of the last minute before the first run. */
    readonly load: number;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, string | number>>;
  /** What was found equal before anything was measured, with the largest relative difference. */
  readonly checks: Readonly<Record<string, number>>;
  readonly measurements: readonly Measurement[];
  readonly comparisons: readonly Comparison[];
  /** Largest resident memory of each process. */
  readonly peak_memory_mib: Readonly<Record<string, number>>;
  /** What else was seen, a sentence or more each. */
  readonly remarks?: readonly string[];
}

/** The machine as it is now; asked before the first run. */
export function thisMachine(): Report["machine"] {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model ?? "unknown",
    cores: cpus.length,
    arch: Deno.build.arch,
    load: Number(Deno.loadavg()[0]!.toFixed(2)),
  };
}

/** Sums up runs. */
export function measurement(
  name: string,
  tokens: number,
  seconds: readonly number[],
): Measurement {
  const middle = median(seconds);
  return {
    name,
    tokens,
    seconds,
    median_seconds: middle,
    min_seconds: Math.min(...seconds),
    max_seconds: Math.max(...seconds),
    tokens_per_second: tokens / middle,
  };
}

/** Compares two contenders whose runs were interleaved. */
export function comparison(
  name: string,
  ours: readonly number[],
  theirs: readonly number[],
): Comparison {
  const ratios = ours.map((seconds, round) => theirs[round]! / seconds);
  return { name, ratios, median_ratio: median(ratios) };
}

function runsHead({ unit = "tokens" }: Report): string[] {
  return ["runs", "median s", "min s", "max s", `${unit}/s`];
}

const RATIOS_HEAD = ["times as fast", "median", "each round"];

function runsRows({ measurements }: Report): string[][] {
  return measurements.map((one) => [
    one.name,
    one.median_seconds.toFixed(2),
    one.min_seconds.toFixed(2),
    one.max_seconds.toFixed(2),
    one.tokens_per_second.toFixed(one.tokens_per_second < 100 ? 2 : 0),
  ]);
}

function ratioRows({ comparisons }: Report): string[][] {
  return comparisons.map(({ name, ratios, median_ratio }) => [
    name,
    median_ratio.toFixed(2),
    ratios.map((ratio) => ratio.toFixed(2)).join(" "),
  ]);
}

/** What is said around the tables. */
function remarks(report: Report): string[] {
  const { machine, versions, settings, checks, peak_memory_mib } = report;
  const list = (entries: Readonly<Record<string, string | number>>, unit = "", between = ", ") =>
    Object.entries(entries).map(([name, value]) => `${name} ${value}${unit}`).join(between);
  const exact = Object.fromEntries(
    Object.entries(checks).map(([name, value]) => [
      name,
      value === 0 ? "(equal)" : `(to ${value.toExponential(0)})`,
    ]),
  );
  return [
    `${report.date}, ${machine.cpu}, ${machine.cores} cores, ${machine.arch}, load before ${machine.load}.`,
    `Versions: ${list(versions)}.`,
    `Settings: ${list(settings)}.`,
    ...Object.keys(checks).length === 0 ? [] : [`Checked first: ${list(exact)}.`],
    `Peak memory: ${list(peak_memory_mib, " MiB", "; ")}.`,
    ...report.remarks ?? [],
  ];
}

/** The report on a terminal. */
export function reportText(report: Report): string {
  return [
    ...remarks(report),
    "",
    textTable(runsHead(report), runsRows(report)),
    "",
    ...report.comparisons.length === 0 ? [] : [textTable(RATIOS_HEAD, ratioRows(report)), ""],
  ].join("\n");
}

/** A table as `deno fmt` lays it out: the first column to the left, numbers to the right. */
function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(column === 0 ? 3 : 4, title.length, ...rows.map((row) => row[column]!.length))
  );
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const padded = (cells: readonly string[]) =>
    line(
      cells.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
      ),
    );
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [padded(head), line(rule), ...rows.map(padded)].join("\n");
}

/** A list's item in lines of at most 100 characters. */
function markdownItem(text: string): string {
  const lines = ["-"];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length <= 100) lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}

/** The report in Markdown. */
export function reportMarkdown(report: Report): string {
  return [
    markdownTable(runsHead(report), runsRows(report)),
    ...report.comparisons.length === 0 ? [] : [markdownTable(RATIOS_HEAD, ratioRows(report))],
    remarks(report).map(markdownItem).join("\n"),
  ].join("\n\n");
}

/**
 * Replaces what a document holds between the comments `NAME: begin` and `NAME: end`.
 *
 * @throws {SyntaxError} When it has no such section.
 */
export function replaceSection(document: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->\n`, `<!-- ${name}: end -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) {
    throw new SyntaxError(
      `Cannot write the section as the document must have the comments ${begin.trim()} and ${end}: it has not`,
    );
  }
  return `${document.slice(0, from + begin.length)}\n${text}\n\n${document.slice(to)}`;
}

/** Writes a report to standard output, and to the files asked for. */
export async function writeReport(
  report: Report,
  files: { readonly json?: string | undefined; readonly markdown?: string | undefined },
): Promise<void> {
  await print(reportText(report)); // first, so that an unwritable file loses nothing
  if (files.json !== undefined) {
    await Deno.writeTextFile(files.json, JSON.stringify(report, null, 2) + "\n");
  }
  if (files.markdown !== undefined) {
    const document = await Deno.readTextFile(files.markdown);
    await Deno.writeTextFile(
      files.markdown,
      replaceSection(document, report.benchmark, reportMarkdown(report)),
    );
  }
}

/** Writes to standard output. */
async function print(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}
