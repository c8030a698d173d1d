/**
 * The npm package of the games, fetched when an equilibrium is first asked for.
 *
 * @module
 */

const HIGHS = "npm:highs@1.15.3";

/** A linear program: minimise c·x under rows and bounds. */
export interface LinearProgram {
  readonly numCols: number;
  readonly numRows: number;
  readonly colCost: Float64Array;
  readonly colLower: Float64Array;
  readonly colUpper: Float64Array;
  readonly rowLower: Float64Array;
  readonly rowUpper: Float64Array;
  readonly matrix: {
    readonly format: "csr";
    readonly numRows: number;
    readonly numCols: number;
    readonly starts: Int32Array;
    readonly indices: Int32Array;
    readonly values: Float64Array;
  };
}

/** A program in HiGHS's memory. */
export interface HighsModel {
  readonly options: { set(values: Readonly<Record<string, boolean | number | string>>): unknown };
  run(): unknown;
  getModelStatus(): number;
  getSolution(): { readonly colValue: Float64Array };
}

/** What is used of `highs`. */
export interface Highs {
  readonly infinity: number;
  readonly constants: { readonly modelStatus: { readonly optimal: number } };
  withModel<T>(program: LinearProgram, work: (model: HighsModel) => T): T;
}

let highs: Promise<Highs> | undefined;

/** Fetches `highs` and starts it once. */
export function loadHighs(): Promise<Highs> {
  return highs ??= import(HIGHS).then(({ default: load }) => load());
}
