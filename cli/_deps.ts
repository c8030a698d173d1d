/**
 * The npm packages of the command line, each with its pin, fetched when a file first needs one: a
 * literal `import` would fetch them for whoever imports the command line.
 *
 * @module
 */

const CSV = "npm:csv-parse@7.0.3/sync";
const PARQUET = "npm:hyparquet@1.31.5";
const PARQUET_COMPRESSORS = "npm:hyparquet-compressors@1.1.2";

/** What is used of `csv-parse`. */
export interface Csv {
  parse(
    text: string,
    options: { readonly columns: true; readonly info: true; readonly skip_empty_lines: boolean },
  ): { readonly record: Record<string, unknown>; readonly info: { readonly lines: number } }[];
}

/** A file read by ranges. */
export interface ParquetBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): ArrayBuffer;
}

/** What is used of a Parquet file's metadata. */
export interface ParquetMetadata {
  readonly row_groups: readonly { readonly num_rows: number | bigint }[];
}

/** What is used of `hyparquet`. */
export interface Parquet {
  parquetMetadataAsync(buffer: ParquetBuffer): Promise<ParquetMetadata>;
  parquetSchema(
    metadata: ParquetMetadata,
  ): { readonly children: readonly { readonly element: { readonly name: string } }[] };
  parquetReadObjects(options: {
    readonly file: ParquetBuffer;
    readonly metadata: ParquetMetadata;
    readonly columns: readonly string[];
    readonly rowStart: number;
    readonly rowEnd: number;
    readonly compressors: unknown;
  }): Promise<Record<string, unknown>[]>;
}

/** Fetches `csv-parse`. */
export async function loadCsv(): Promise<Csv> {
  return await import(CSV);
}

/** Fetches `hyparquet` with its compressors. */
export async function loadParquet(): Promise<Parquet & { readonly compressors: unknown }> {
  const [parquet, { compressors }] = await Promise.all([
    import(PARQUET),
    import(PARQUET_COMPRESSORS),
  ]);
  return { ...parquet, compressors };
}

const VEGA = "npm:vega@6.4.0";
const VEGA_LITE = "npm:vega-lite@6.5.0";

/** What vega and vega-lite warn to. */
export interface PlotLogger {
  level(value?: number): unknown;
  error(...messages: readonly unknown[]): PlotLogger;
  warn(...messages: readonly unknown[]): PlotLogger;
  info(...messages: readonly unknown[]): PlotLogger;
  debug(...messages: readonly unknown[]): PlotLogger;
}

/** What is used of `vega`. */
export interface Vega {
  parse(spec: unknown): unknown;
  readonly View: new (
    dataflow: unknown,
    options: { readonly renderer: "none"; readonly logger: PlotLogger },
  ) => { toSVG(): Promise<string>; finalize(): unknown };
}

/** What is used of `vega-lite`. */
export interface VegaLite {
  compile(spec: unknown, options: { readonly logger: PlotLogger }): { readonly spec: unknown };
}

/** Fetches `vega` and `vega-lite`. */
export async function loadVega(): Promise<{ readonly vega: Vega; readonly vegaLite: VegaLite }> {
  const [vega, vegaLite] = await Promise.all([import(VEGA), import(VEGA_LITE)]);
  return { vega, vegaLite };
}

const STRING_WIDTH = "npm:string-width@8.3.0";

/** Fetches `string-width`: columns that a text takes in a terminal. */
export async function loadStringWidth(): Promise<(text: string) => number> {
  const { default: stringWidth } = await import(STRING_WIDTH);
  return stringWidth;
}
