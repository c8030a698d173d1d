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
