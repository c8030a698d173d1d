/**
 * Files of records: .jsonl, .json, .csv, .txt and .parquet, read one record at a time.
 *
 * @module
 */

import { extname } from "node:path";
import { loadCsv, loadParquet } from "./_deps.ts";
import { fileError, oneLine, shortly } from "./errors.ts";

/** A record with where it stands, such as `prompts.jsonl:3`, for messages. */
export interface TableRecord {
  readonly where: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** The record itself where it is nothing but a text: a line of a text file. */
  readonly text?: string;
}

/** Endings of the files that {@linkcode readTable} reads. */
export const TABLE_FORMATS = [".jsonl", ".ndjson", ".json", ".csv", ".txt", ".parquet"] as const;

/** Options of {@linkcode readTable}. */
export interface ReadTableOptions {
  /** Columns to read where a format can leave out others (.parquet); those absent are left out. */
  readonly columns?: readonly string[];
}

/**
 * Reads a file of records by the ending of its name; `-` is JSON lines from standard input.
 *
 * Lines of nothing but white space are skipped in .jsonl, .csv and .txt. A JSON file holds one array of
 * objects, or of texts.
 *
 * @throws {Error} When the file cannot be read.
 * @throws {SyntaxError} When a line or the file is not what its ending says, with the place.
 * @throws {TypeError} When a record is no object, or the ending is none of {@linkcode TABLE_FORMATS}.
 */
export async function* readTable(
  path: string,
  options: ReadTableOptions = {},
): AsyncGenerator<TableRecord> {
  if (path === "-") return yield* jsonLines(lines(Deno.stdin.readable, "standard input"));
  const format = extname(path).toLowerCase() as typeof TABLE_FORMATS[number];
  switch (format) {
    case ".jsonl":
    case ".ndjson":
      return yield* jsonLines(fileLines(path));
    case ".txt":
      for await (const { text, where } of fileLines(path)) yield { where, fields: {}, text };
      return;
    case ".json":
      return yield* jsonArray(path);
    case ".csv":
      return yield* csvRows(path);
    case ".parquet":
      return yield* parquetRows(path, options.columns);
    default:
      format satisfies never;
      throw new TypeError(
        `Cannot read ${path} as its name must end in ${TABLE_FORMATS.join(", ")}: ${
          extname(path) || "no ending"
        }`,
      );
  }
}

interface Line {
  readonly text: string;
  readonly where: string;
}

async function* fileLines(path: string): AsyncGenerator<Line> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
    if ((await file.stat()).isDirectory) {
      file.close();
      throw new Deno.errors.IsADirectory();
    }
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  yield* lines(file.readable, path);
}

/** Lines that hold more than white space, without their ends and a byte order mark. */
async function* lines(stream: ReadableStream<Uint8Array>, name: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let number = 0;
  function* take(text: string, last: boolean): Generator<Line> {
    const parts = text.split("\n");
    rest = last ? "" : parts.pop() ?? "";
    for (const part of parts) {
      number++;
      const line = part.endsWith("\r") ? part.slice(0, -1) : part;
      if (line.trim() !== "") yield { text: line, where: `${name}:${number}` };
    }
  }
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw new SyntaxError(
        `Cannot read ${name} as it must be UTF-8 text: it is not, near line ${number + 1}`,
      );
    }
  };
  let parts: string[] = [];
  for await (const bytes of stream) {
    const text = decode(bytes);
    parts.push(text);
    if (!text.includes("\n")) continue;
    const whole = rest + parts.join("");
    parts = [];
    yield* take(whole, false);
  }
  yield* take(rest + parts.join("") + decode(), true);
}

async function* jsonLines(source: AsyncIterable<Line>): AsyncGenerator<TableRecord> {
  for await (const { text, where } of source) {
    yield { where, fields: asFields(parseJson(text, where), where) };
  }
}

async function* jsonArray(path: string): AsyncGenerator<TableRecord> {
  const value = parseJson(await readWhole(path), path);
  if (!Array.isArray(value)) {
    throw new TypeError(
      `Cannot read ${path} as it must hold one array of records: ${shortly(value)}`,
    );
  }
  for (const [index, item] of value.entries()) {
    const where = `${path}: item ${index + 1}`;
    if (typeof item === "string") yield { where, fields: {}, text: item };
    else yield { where, fields: asFields(item, where) };
  }
}

async function* csvRows(path: string): AsyncGenerator<TableRecord> {
  const text = await readWhole(path);
  const { parse } = await loadCsv();
  let rows: { record: Record<string, unknown>; info: { lines: number } }[];
  try {
    rows = parse(text, { columns: true, info: true, skip_empty_lines: true });
  } catch (error) {
    throw new SyntaxError(`Cannot read ${path} as it must be CSV with a header: ${oneLine(error)}`);
  }
  for (const { record, info } of rows) yield { where: `${path}:${info.lines}`, fields: record };
}

async function* parquetRows(
  path: string,
  wanted: readonly string[] | undefined,
): AsyncGenerator<TableRecord> {
  const { compressors, parquetMetadataAsync, parquetReadObjects, parquetSchema } =
    await loadParquet();
  let file: Deno.FsFile;
  let size: number;
  try {
    file = await Deno.open(path);
    size = (await file.stat()).size;
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  using _closed = file;
  const buffer = {
    byteLength: size,
    slice(start: number, end = size): ArrayBuffer {
      if (!(0 <= start && start <= end && end <= size)) {
        throw new RangeError(`bytes ${start}-${end} are not within its ${size}`);
      }
      const bytes = new Uint8Array(end - start);
      file.seekSync(start, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) {
        const read = file.readSync(bytes.subarray(done));
        if (read === null) throw new RangeError("it ends early");
        done += read;
      }
      return bytes.buffer;
    },
  };
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new SyntaxError(`Cannot read ${path} as it must be a Parquet file: ${oneLine(error)}`);
    }
  };
  const metadata = await explained(() => parquetMetadataAsync(buffer));
  const names = await explained(() =>
    Promise.resolve(parquetSchema(metadata).children.map((child) => child.element.name))
  );
  const columns = wanted ? names.filter((name) => wanted.includes(name)) : names;
  if (columns.length === 0) {
    throw new TypeError(
      `Cannot read ${path} as it must have a column ${wanted?.join(" or ")}: ${names.join(", ")}`,
    );
  }
  let row = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = row + Number(group.num_rows);
    const objects = await explained(() =>
      parquetReadObjects({ file: buffer, metadata, columns, rowStart: row, rowEnd, compressors })
    );
    for (const fields of objects) yield { where: `${path}: row ${++row}`, fields };
    row = rowEnd;
  }
}

/** The text of a file without a byte order mark. */
async function readWhole(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SyntaxError(`Cannot read ${path} as it must be UTF-8 text: it is not`);
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${where} as it must be JSON: ${oneLine(error)}`);
  }
}

function asFields(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot read ${where} as it must be a JSON object: ${shortly(value)}`);
  }
  return value as Record<string, unknown>;
}
