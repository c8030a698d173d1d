/**
 * What experiments write: figures as JSON and pictures beside their pages in docs/experiments/.
 *
 * @module
 */

import { type PlotSpec, renderSvg } from "../../cli/plots/render.ts";
import { standardError } from "../../cli/progress.ts";

const OUT = new URL("../../docs/experiments/", import.meta.url);

/** Tells who waits how far it is. */
export function say(text: string): void {
  standardError.write(`${text}\n`);
}

/** The mean of some numbers. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** A share as per cent with a decimal. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/** Writes NAME.json, numbers to five digits. */
export async function writeFigures(name: string, figures: unknown): Promise<void> {
  const rounded = (_: string, x: unknown) => typeof x === "number" ? Number(x.toPrecision(5)) : x;
  await Deno.writeTextFile(
    new URL(`${name}.json`, OUT),
    `${JSON.stringify(figures, rounded, 1)}\n`,
  );
}

/** Writes NAME.svg. */
export async function writePicture(name: string, picture: PlotSpec): Promise<void> {
  await Deno.writeTextFile(new URL(`${name}.svg`, OUT), await renderSvg(picture));
}

/** A table in Markdown. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), `|${header.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}
