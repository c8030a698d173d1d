/**
 * Dots on lines with names: how several things compare in each of some respects.
 *
 * @module
 */

import type { PlotSpec } from "./render.ts";

/** A dot. */
export interface PlotDot {
  /** Of the line it stands on. */
  readonly row: string;
  /** Of what is compared. */
  readonly name: string;
  /** Positive. */
  readonly value: number;
}

/** Options of {@linkcode dotPlot}. */
export interface DotPlotOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** Of the logarithmic axis. */
  readonly axis: string;
  /** Rows and names stand in the order of their first dot. */
  readonly dots: readonly PlotDot[];
  /** Of the axis in pixels; 420 by default. */
  readonly width?: number;
}

/** Pixels between two lines. */
const STEP = 22;

/**
 * Dots over a logarithmic axis, with a line through those of a row.
 *
 * @throws {RangeError} When there is none, or a value is not positive and finite.
 */
export function dotPlot({ title, subtitle, axis, dots, width = 420 }: DotPlotOptions): PlotSpec {
  if (dots.length === 0) throw new RangeError("Cannot draw dots as there must be one: none");
  const wrong = dots.find(({ value }) => !(isFinite(value) && value > 0));
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot draw "${axis}" as its values must be finite and positive: ${wrong.value}`,
    );
  }
  const row = {
    field: "row",
    type: "nominal",
    sort: null,
    title: null,
    axis: { labelLimit: 460, grid: true, ticks: false },
  };
  const value = {
    field: "value",
    type: "quantitative",
    title: axis,
    scale: { type: "log", nice: false, padding: 12 },
  };
  return {
    title: { text: title, ...(subtitle === undefined ? {} : { subtitle }) },
    width,
    height: { step: STEP },
    data: { values: dots.map((dot) => ({ ...dot })) },
    layer: [
      {
        mark: { type: "line", color: "#cccccc", strokeWidth: 1.5 },
        encoding: { y: row, x: value, detail: { field: "row", type: "nominal" } },
      },
      {
        mark: { type: "point", filled: true, size: 70, opacity: 1 },
        encoding: {
          y: row,
          x: value,
          color: {
            field: "name",
            type: "nominal",
            sort: null,
            legend: { title: null, orient: "bottom", columns: 4 },
          },
        },
      },
    ],
  };
}
