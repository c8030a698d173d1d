/**
 * Mixtures of three answers as points of a triangle.
 *
 * @module
 */

import type { PlotSpec } from "./render.ts";

/** Three probabilities. */
export type Mixture3 = readonly [number, number, number];

/** Options of {@linkcode simplexPlot}. */
export interface SimplexPlotOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** Names of the answers: the first at the left, the second at the right, the third on top. */
  readonly corners: readonly [string, string, string];
  /** Curves through mixtures, in the order of the legend. */
  readonly paths: readonly { readonly name: string; readonly mixtures: readonly Mixture3[] }[];
  /** Single mixtures, such as an equilibrium. */
  readonly marks?: readonly { readonly name: string; readonly mixture: Mixture3 }[];
  /** Side of the triangle in pixels; 380 by default. */
  readonly side?: number;
}

const HEIGHT = Math.sqrt(3) / 2;

/** Where a mixture lies: its corners' mean, weighted by it. */
export function simplexPoint([, b, c]: Mixture3): { readonly x: number; readonly y: number } {
  return { x: b + c / 2, y: c * HEIGHT };
}

/**
 * Paths in the triangle of mixtures.
 *
 * @throws {RangeError} When something is no mixture: entries from 0 on with sum 1, to 1e-6.
 */
export function simplexPlot(options: SimplexPlotOptions): PlotSpec {
  const { title, subtitle, corners, paths, marks = [], side = 380 } = options;
  const position = (mixture: Mixture3) => {
    const sum = mixture.reduce((total, p) => total + p, 0);
    if (!(mixture.every((p) => p >= -1e-6) && Math.abs(sum - 1) <= 1e-6)) {
      throw new RangeError(
        `Cannot draw a mixture as it must have entries from 0 on with sum 1: ${mixture}`,
      );
    }
    return simplexPoint(mixture);
  };
  const margin = 0.08;
  const axis = (field: "x" | "y", domain: readonly number[]) => ({
    field,
    type: "quantitative",
    axis: null,
    scale: { domain, nice: false, zero: false },
  });
  const place = {
    x: axis("x", [-margin, 1 + margin]),
    y: axis("y", [-margin, HEIGHT + margin]),
  };
  const corner = ([[1, 0, 0], [0, 1, 0], [0, 0, 1]] as const).map(simplexPoint);
  const rows = paths.flatMap(({ name, mixtures }) =>
    mixtures.map((mixture, order) => ({ ...position(mixture), name, order }))
  );
  const points = marks.map(({ name, mixture }) => ({ ...position(mixture), name }));
  const inside = { x: place.x, y: place.y };
  return {
    title: { text: title, ...(subtitle === undefined ? {} : { subtitle }) },
    width: side * (1 + 2 * margin),
    height: side * (HEIGHT + 2 * margin),
    resolve: { scale: { shape: "independent", color: "independent" } },
    layer: [
      {
        data: { values: [...corner, corner[0]!].map((point, order) => ({ ...point, order })) },
        mark: { type: "line", color: "#888888", strokeWidth: 1 },
        encoding: { ...inside, order: { field: "order" } },
      },
      {
        data: {
          values: corner.map((point, index) => ({
            ...point,
            name: corners[index],
            y: point.y + (index === 2 ? margin / 2 : -margin / 2),
          })),
        },
        mark: { type: "text", fontSize: 12 },
        encoding: { ...inside, text: { field: "name", type: "nominal" } },
      },
      {
        data: { values: rows },
        mark: { type: "line", strokeWidth: 1.2 },
        encoding: {
          ...inside,
          order: { field: "order" },
          color: {
            field: "name",
            type: "nominal",
            sort: null,
            legend: { title: null, orient: "bottom", columns: 2, symbolType: "stroke" },
          },
        },
      },
      ...points.length === 0 ? [] : [{
        data: { values: points },
        mark: { type: "point", size: 70, color: "black", strokeWidth: 1.5, opacity: 1 },
        encoding: {
          ...inside,
          shape: {
            field: "name",
            type: "nominal",
            sort: null,
            legend: { title: null, orient: "bottom" },
          },
        },
      }],
    ],
  };
}
