/**
 * Pairs and demonstrations from files.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Message, Prompt, Response } from "../core/policy.ts";
import type { Demonstration, GivenPair } from "../core/sources/given.ts";
import { shortly } from "./errors.ts";
import { toPrompt } from "./prompts.ts";
import { fromResponseRecord } from "./records.ts";
import { readTable, type TableRecord } from "./table_file.ts";

/** A record of a file: a pair where it has a rejected response. */
export type PairRecord = Demonstration & Partial<Omit<GivenPair, keyof Demonstration>>;

/** Pairs of a file, or demonstrations. */
export interface PairFile {
  /** In the file's order. */
  readonly records: readonly PairRecord[];
  /** Their prompts, each once. */
  readonly prompts: readonly Prompt[];
}

/**
 * Reads records of a `chosen` and maybe a `rejected` response, as `pairs.jsonl` of a run, the data of
 * SPPO and those of TRL have them: each a conversation that ends with the assistant's turn (what comes
 * before is the prompt), or a text or a response's record beside a `prompt`. A demonstration may also be
 * `messages`, `response` or `completion`. `chosen_probs_win`, `chosen_probs_lose` and `chosen_probs` are
 * win rates and the preference of the pair.
 *
 * @param fields Columns that come along as the prompts' fields.
 * @throws {TypeError} When a record has no chosen response, or holds something else.
 * @throws {RangeError} When a number is not in [0, 1], prompts of a record differ, an id stands for two
 * prompts, or the file has no record.
 */
export async function readPairs(
  path: string,
  column: string,
  fields: readonly string[] = [],
): Promise<PairFile> {
  const records: PairRecord[] = [];
  const prompts = new Map<string, Prompt>();
  for await (const record of readTable(path)) {
    const read = toPair(record, column, fields);
    const earlier = prompts.get(read.prompt.id);
    if (earlier === undefined) prompts.set(read.prompt.id, read.prompt);
    else if (JSON.stringify(earlier.content) !== JSON.stringify(read.prompt.content)) {
      throw new RangeError(
        `Cannot read ${record.where} as an id must stand for one prompt: ${read.prompt.id} stands for two`,
      );
    }
    records.push({ ...read, prompt: prompts.get(read.prompt.id)! });
  }
  if (records.length === 0) {
    throw new RangeError(`Cannot read ${path} as it must hold at least one record: it holds none`);
  }
  return { records, prompts: [...prompts.values()] };
}

/** SHA-256 over pairs in order: what a run compares when it continues. */
export function pairsDigest(records: readonly PairRecord[]): string {
  const hash = createHash("sha256");
  for (const record of records) hash.update(`${JSON.stringify(record)}\n`);
  return `sha256:${hash.digest("hex")}`;
}

/** The pairs among records. @throws {TypeError} When one has no rejected response. */
export function toPairs(records: readonly PairRecord[], path: string): GivenPair[] {
  return records.map(({ rejected, ...rest }, index) => {
    if (rejected === undefined) {
      throw new TypeError(
        `Cannot use record ${
          index + 1
        } of ${path} as it must have a rejected response: it has none`,
      );
    }
    return { ...rest, rejected };
  });
}

function toPair(
  record: TableRecord,
  column: string,
  names: readonly string[],
): PairRecord {
  const { fields, where } = record;
  const demonstration = ["chosen", "messages", "response", "completion"].find((name) =>
    fields[name] !== undefined && fields[name] !== null
  );
  if (demonstration === undefined) {
    throw new TypeError(
      `Cannot read ${where} as it must have a chosen response: it has ${
        Object.keys(fields).slice(0, 8).join(", ") || "nothing"
      }`,
    );
  }
  const chosen = toSide(fields[demonstration], `${demonstration} at ${where}`);
  const rejected = fields.rejected === undefined || fields.rejected === null
    ? undefined
    : toSide(fields.rejected, `rejected at ${where}`);
  const said = fields[column] ?? undefined;
  const content = said ?? chosen.before;
  if (
    said === undefined && rejected?.before !== undefined &&
    JSON.stringify(rejected.before) !== JSON.stringify(chosen.before)
  ) {
    throw new RangeError(
      `Cannot read ${where} as both responses must be to one prompt: they are to two`,
    );
  }
  const prompt = toPrompt({ where, fields: { ...fields, [column]: content } }, column, names);
  const number = (name: string): number | undefined => {
    const value = fields[name] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value === "number" && value >= 0 && value <= 1) return value;
    throw new RangeError(`Cannot read ${where} as ${name} must be in [0, 1]: ${shortly(value)}`);
  };
  const [won, lost] = [number("chosen_probs_win"), number("chosen_probs_lose")];
  const preference = number("chosen_probs");
  return {
    prompt,
    chosen: chosen.response,
    ...(rejected === undefined ? {} : { rejected: rejected.response }),
    ...(won === undefined || lost === undefined ? {} : { winRates: [won, lost] as const }),
    ...(preference === undefined ? {} : { preference }),
  };
}

/** A response, with the prompt before it where it stands in a conversation. */
function toSide(
  value: unknown,
  what: string,
): { readonly response: Response; readonly before?: string | readonly Message[] } {
  if (!Array.isArray(value)) return { response: fromResponseRecord(value, what) };
  const messages = value as readonly Partial<Message>[];
  const last = messages.at(-1);
  if (last?.role !== "assistant" || typeof last.content !== "string") {
    throw new TypeError(
      `Cannot use ${what} as its last message must be the assistant's: ${shortly(last)}`,
    );
  }
  const before = messages.slice(0, -1) as readonly Message[];
  const [only] = before;
  const plain = before.length === 1 && only?.role === "user" ? only.content : before;
  return {
    response: { text: last.content },
    ...(before.length === 0 ? {} : { before: plain }),
  };
}
