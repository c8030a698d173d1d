/**
 * Pictures as SVG, from specifications that are data.
 *
 * @module
 */

import { loadVega, type PlotLogger } from "../_deps.ts";

/** A specification of Vega-Lite 6; its data stands in it. */
export interface PlotSpec {
  readonly [key: string]: unknown;
}

/** Looks that all plots share. Colours are Okabe and Ito's, which colour-blind readers tell apart, grey and wine. */
const CONFIG = {
  background: "white",
  font: "sans-serif",
  range: {
    category: [
      "#0072b2",
      "#d55e00",
      "#009e73",
      "#cc79a7",
      "#e69f00",
      "#56b4e9",
      "#000000",
      "#999999",
      "#882255",
    ],
  },
  axis: { gridColor: "#e5e5e5", titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12 },
  legend: { titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12, labelLimit: 320 },
  title: { anchor: "start", fontSize: 14, subtitleFontSize: 11, subtitleColor: "#555555" },
  view: { stroke: null },
};

/**
 * Draws a specification. Needs neither a browser nor a canvas; widths of texts are estimates.
 *
 * @returns The SVG's text, the same for the same specification.
 * @throws {Error} When Vega warns of something in the specification.
 */
export async function renderSvg(spec: PlotSpec): Promise<string> {
  const { vega, vegaLite } = await loadVega();
  const warnings: string[] = [];
  const silent = () => logger;
  const warn = (...messages: readonly unknown[]) => {
    warnings.push(messages.map(String).join(" "));
    return logger;
  };
  const logger: PlotLogger = {
    level: (value) => value === undefined ? 0 : logger,
    error: warn,
    warn,
    info: silent,
    debug: silent,
  };
  const compiled = vegaLite.compile({ config: CONFIG, ...spec }, { logger });
  const view = new vega.View(vega.parse(compiled.spec), { renderer: "none", logger });
  const svg = await view.toSVG();
  view.finalize();
  if (warnings.length > 0) {
    throw new Error(`Cannot draw a plot as Vega must not warn: ${warnings.join("; ")}`);
  }
  return `${svg}\n`;
}
