/**
 * Curves over a common axis.
 *
 * @module
 */

import type { PlotSpec } from "./render.ts";

/** An axis. */
export interface PlotAxis {
  readonly title: string;
  /** `linear` by default; `log` needs positive values. */
  readonly scale?: "linear" | "log";
  /** Of a logarithmic axis; 10 by default. */
  readonly base?: number;
  /** Values to be covered beside the points'. */
  readonly include?: readonly number[];
}

/** A point of a curve, with an interval about it where it has one. */
export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

/** A curve. */
export interface PlotSeries {
  readonly name: string;
  readonly points: readonly PlotPoint[];
}

/** Options of {@linkcode linePlot}. */
export interface LinePlotOptions {
  readonly title: string;
  readonly subtitle?: string;
  readonly x: PlotAxis;
  readonly y: PlotAxis;
  /** In the order of the legend, with names of their own. */
  readonly series: readonly PlotSeries[];
  /** Horizontal lines at heights that a reader should know. */
  readonly levels?: readonly { readonly y: number; readonly name: string }[];
  /** Dots at the points; true by default. */
  readonly dots?: boolean;
  /** Of the axes' rectangle in pixels; 480×320 by default. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * Curves, each with a band where its points have intervals.
 *
 * @throws {RangeError} When there is no point, a number is not finite, or one on a logarithmic axis is
 * not positive.
 */
export function linePlot(options: LinePlotOptions): PlotSpec {
  const { title, subtitle, x, y, series, levels = [], dots = true } = options;
  const rows = series.flatMap(({ name, points }) => points.map((point) => ({ ...point, name })));
  if (rows.length === 0) throw new RangeError("Cannot draw curves as there must be points: none");
  const check = (axis: PlotAxis, values: readonly (number | undefined)[]) => {
    const wrong = values.find((value) =>
      value !== undefined && !(isFinite(value) && (axis.scale !== "log" || value > 0))
    );
    if (wrong === undefined) return;
    throw new RangeError(
      `Cannot draw "${axis.title}" as its values must be finite${
        axis.scale === "log" ? " and positive" : ""
      }: ${wrong}`,
    );
  };
  check(x, rows.map((row) => row.x));
  check(y, [...rows.flatMap(({ y, low, high }) => [y, low, high]), ...levels.map(({ y }) => y)]);
  const color = {
    field: "name",
    type: "nominal",
    sort: null,
    legend: series.length > 1
      ? { title: null, orient: "bottom", columns: 3, symbolType: "stroke", symbolOpacity: 1 }
      : null,
  };
  const position = { x: encoding("x", x), y: encoding("y", y) };
  const banded = rows.filter(({ low, high }) => low !== undefined && high !== undefined);
  const include = (["x", "y"] as const).flatMap((name) =>
    (options[name].include ?? []).map((value) => ({
      data: { values: [{ value }] },
      mark: { type: "point", opacity: 0 },
      encoding: { [name]: { ...encoding(name, options[name]), field: "value" } },
    }))
  );
  return {
    title: { text: title, ...(subtitle === undefined ? {} : { subtitle }) },
    width: options.width ?? 480,
    height: options.height ?? 320,
    layer: [
      ...include,
      ...banded.length === 0 ? [] : [{
        data: { values: banded },
        mark: { type: "area", opacity: 0.18 },
        encoding: {
          x: position.x,
          y: { ...position.y, field: "low" },
          y2: { field: "high" },
          color,
        },
      }],
      {
        data: { values: rows },
        mark: { type: "line", point: dots, strokeWidth: 1.8 },
        encoding: { ...position, color },
      },
      ...levels.flatMap((level) => [
        {
          data: { values: [level] },
          mark: { type: "rule", strokeDash: [4, 3], color: "#555555" },
          encoding: { y: position.y },
        },
        {
          data: { values: [level] },
          mark: { type: "text", align: "left", dx: 4, dy: -5, color: "#555555", fontSize: 10 },
          encoding: { y: position.y, x: { value: 0 }, text: { field: "name", type: "nominal" } },
        },
      ]),
    ],
  };
}

function encoding(field: "x" | "y", { title, scale = "linear", base }: PlotAxis): PlotSpec {
  return {
    field,
    type: "quantitative",
    title,
    scale: scale === "log"
      ? { type: "log", nice: false, ...(base === undefined ? {} : { base }) }
      : { type: "linear", zero: false },
    ...(scale === "log" ? { axis: { tickCount: 8 } } : {}),
  };
}
