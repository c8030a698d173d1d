/**
 * Prompts from files.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Json } from "../core/journal.ts";
import type { PreferenceOracle } from "../core/oracle.ts";
import type { Message, Prompt } from "../core/policy.ts";
import { shortly } from "./errors.ts";
import { readTable, type TableRecord } from "./table_file.ts";

/** Options of {@linkcode readPrompts}. */
export interface ReadPromptsOptions {
  /** Column of the prompts; `prompt` when absent (in a text file each line is one). */
  readonly column?: string;
  /** Columns that come along as the prompt's fields, where a record has them. */
  readonly fields?: readonly string[];
}

/** Prompts of a file. */
export interface PromptFile {
  readonly prompts: readonly Prompt[];
  /** Records left out because an earlier one has the same id and content. */
  readonly duplicates: number;
}

/**
 * Reads prompts: text, or messages of which the last is not the assistant's. Ids come from `prompt_id`
 * or `id`, else from the content. A record with the id and content of an earlier one is left out and
 * counted; one with its id and other content, or other fields, is an error.
 *
 * @throws {TypeError} When the column is missing or holds something else.
 * @throws {RangeError} When a prompt is empty, an id is used twice, or the file has no prompt.
 */
export async function readPrompts(
  path: string,
  options: ReadPromptsOptions = {},
): Promise<PromptFile> {
  const { column = "prompt", fields = [] } = options;
  const prompts = new Map<string, Prompt>();
  const places = new Map<string, string>();
  let duplicates = 0;
  for await (const record of readTable(path, { columns: [column, "prompt_id", "id", ...fields] })) {
    const prompt = toPrompt(record, column, fields);
    const earlier = prompts.get(prompt.id);
    if (earlier === undefined) {
      prompts.set(prompt.id, prompt);
      places.set(prompt.id, record.where);
    } else if (isDeepStrictEqual(earlier, prompt)) {
      duplicates++;
    } else {
      throw new RangeError(
        `Cannot read ${record.where} as ids must be unique: ${prompt.id} is also at ${
          places.get(prompt.id)
        } with another ${differentField(earlier, prompt) ?? "prompt"}`,
      );
    }
  }
  if (prompts.size === 0) {
    throw new RangeError(`Cannot read ${path} as it must hold at least one prompt: it holds none`);
  }
  return { prompts: [...prompts.values()], duplicates };
}

/** The first field that two records of one prompt do not share; none where it is the prompt itself. */
function differentField(one: Prompt, other: Prompt): string | undefined {
  if (!isDeepStrictEqual(one.content, other.content)) return undefined;
  return Object.keys({ ...one.fields, ...other.fields })
    .find((name) => !isDeepStrictEqual(one.fields?.[name], other.fields?.[name]));
}

/**
 * The prompt of a record.
 *
 * @param names Columns that become its fields, where the record has them.
 * @throws {TypeError} When the column is missing or holds neither text nor messages.
 * @throws {RangeError} When the prompt is empty or ends with the assistant's turn.
 */
export function toPrompt(
  { where, fields, text }: TableRecord,
  column = "prompt",
  names: readonly string[] = [],
): Prompt {
  const value = text ?? (Object.hasOwn(fields, column) ? fields[column] : undefined);
  if (value === undefined || value === null) {
    throw new TypeError(
      `Cannot read ${where} as it must have a ${column}: it has ${
        Object.keys(fields).slice(0, 8).join(", ") || "nothing"
      }`,
    );
  }
  const content = toContent(value, `the ${column} at ${where}`);
  const kept = names.flatMap((name): [string, Json][] => {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return field === undefined || field === null ? [] : [[name, toJson(field)]];
  });
  return {
    id: explicitId(fields, where) ?? contentId(content),
    content,
    ...(kept.length === 0 ? {} : { fields: Object.fromEntries(kept) }),
  };
}

/** A field as JSON has it: whole numbers of a .parquet file as numbers, or as texts where they are too large. */
function toJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value, (_, part) => {
    if (typeof part !== "bigint") return part;
    return Number.isSafeInteger(Number(part)) ? Number(part) : `${part}`;
  }));
}

/**
 * Sees to it that an oracle has of prompts what it needs.
 *
 * @throws {Error} Naming the first prompt of which it has not.
 */
export async function checkNeeds(
  { needs }: PreferenceOracle,
  prompts: readonly Prompt[],
): Promise<void> {
  if (needs !== undefined) { for (const prompt of prompts) await needs.check(prompt); }
}

function explicitId(fields: TableRecord["fields"], where: string): string | undefined {
  const id = fields.prompt_id ?? fields.id;
  if (id === undefined || id === null || id === "") return undefined;
  if (typeof id === "string" || typeof id === "number" || typeof id === "bigint") return `${id}`;
  throw new TypeError(
    `Cannot read ${where} as its id must be text or a number: ${shortly(id)}`,
  );
}

/** An id that depends on the content alone: twelve hexadecimal digits of its SHA-256. */
export function contentId(content: Prompt["content"]): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 12);
}

function toContent(value: unknown, what: string): string | readonly Message[] {
  if (typeof value === "string") {
    return notBlank(value, what);
  }
  if (!Array.isArray(value)) {
    throw new TypeError(
      `Cannot use ${what} as it must be text or a list of messages: ${shortly(value)}`,
    );
  }
  const messages = value.map((item, index) => toMessage(item, `message ${index + 1} of ${what}`));
  const last = messages.at(-1);
  if (last === undefined) {
    throw new RangeError(`Cannot use ${what} as it must have a message: it has none`);
  }
  if (last.role === "assistant") {
    throw new RangeError(
      `Cannot use ${what} as its last message must be the user's or the system's: assistant`,
    );
  }
  notBlank(last.content, `the last message of ${what}`);
  return messages;
}

/**
 * A prompt's text.
 *
 * @param what What to call it in messages.
 * @throws {RangeError} When it is nothing but white space.
 */
export function notBlank(text: string, what: string): string {
  if (text.trim() !== "") return text;
  throw new RangeError(
    `Cannot use ${what} as it must not be blank: ${JSON.stringify(text.slice(0, 20))}`,
  );
}

function toMessage(value: unknown, what: string): Message {
  const { role, content } = typeof value === "object" && value !== null
    ? value as { role?: unknown; content?: unknown }
    : {};
  if (role !== "system" && role !== "user" && role !== "assistant") {
    throw new TypeError(
      `Cannot use ${what} as its role must be system, user or assistant: ${shortly(role)}`,
    );
  }
  if (typeof content !== "string") {
    throw new TypeError(`Cannot use ${what} as its content must be text: ${shortly(content)}`);
  }
  return { role, content };
}

/** SHA-256 over prompts, ids, contents and fields in order: what a run compares when it continues. */
export function promptsDigest(prompts: readonly Prompt[]): string {
  const hash = createHash("sha256");
  for (const { id, content, fields } of prompts) {
    hash.update(`${JSON.stringify(fields ? [id, content, fields] : [id, content])}\n`);
  }
  return `sha256:${hash.digest("hex")}`;
}
