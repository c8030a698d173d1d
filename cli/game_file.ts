/**
 * Preference games from files.
 *
 * @module
 */

import { extname } from "node:path";
import type { PreferenceMatrix } from "../core/exploitability.ts";
import {
  gameOfVotes,
  type MatrixGame,
  matrixGame,
  parseGame,
  poolVotes,
  type VoteCounter,
  voteCounter,
  type VoteTable,
} from "../games/mod.ts";
import { fileError, shortly } from "./errors.ts";
import { readTable, type TableRecord } from "./table_file.ts";

/** A game over the same answers throughout, and the votes it was made of, where it was. */
export interface WholeGame {
  readonly kind: "game";
  readonly game: MatrixGame;
  readonly votes?: VoteTable;
  /** Votes by prompt, where records had tables of them. */
  readonly prompts: readonly VoteTable[];
  /** Pairs judged in both orders, and those judged differently. */
  readonly orders?: { readonly both: number; readonly inconsistent: number };
}

/** Games over the responses of each prompt, which differ from prompt to prompt. */
export interface PromptGames {
  readonly kind: "prompts";
  readonly prompts: readonly PreferenceMatrix[];
  /** Prompts left out, because not every pair of theirs was compared. */
  readonly incomplete: number;
}

/** What a file holds. */
export type GameFile = WholeGame | PromptGames;

/** Options of {@linkcode readGameFile}. */
export interface ReadGameOptions {
  /** The payoff of a sure win, of a file of payoffs. */
  readonly win?: number;
  /** Votes for each side that nobody cast, of a file of votes. */
  readonly prior?: number;
}

/**
 * Reads a game.
 *
 * - `.txt`: a matrix, or a line per pair ({@linkcode parseGame});
 * - records with `preferences`, as in `preferences.jsonl` of a run: a game per prompt;
 * - records with `verdicts`, K×K (1: the row shown first wins; 2: the column; 3: a tie; null): votes,
 *   one per pair and prompt, two orders that disagree counting as a tie;
 * - records with `model_a`, `model_b` and `winner` (`model_a`, `model_b`, or a word with `tie`): votes.
 *
 * @throws {TypeError} When records hold none of these.
 * @throws What reading the file and making the game throw.
 */
export async function readGameFile(
  path: string,
  options: ReadGameOptions = {},
): Promise<GameFile> {
  if (extname(path).toLowerCase() === ".txt") {
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      throw fileError(error, `read ${path}`);
    }
    const { win } = options;
    const game = parseGame(text, { name: path, ...(win === undefined ? {} : { win }) });
    return { kind: "game", game, prompts: [] };
  }
  const records: TableRecord[] = [];
  for await (const record of readTable(path)) records.push(record);
  const first = records[0];
  if (first === undefined) {
    throw new RangeError(`Cannot read ${path} as it must hold at least one record: it holds none`);
  }
  if (first.fields.preferences !== undefined) return promptGames(path, records);
  if (first.fields.verdicts !== undefined) return verdictGame(records, options.prior);
  if (first.fields.model_a !== undefined) return arenaGame(records, options.prior);
  throw new TypeError(
    `Cannot read ${path} as its records must have preferences, verdicts, or model_a, model_b and ` +
      `winner: they have ${Object.keys(first.fields).slice(0, 8).join(", ") || "nothing"}`,
  );
}

function squareRows(value: unknown, what: string, where: string): unknown[][] {
  const rows = value as unknown[][];
  if (
    !Array.isArray(rows) || rows.length === 0 ||
    !rows.every((row) => Array.isArray(row) && row.length === rows.length)
  ) {
    throw new TypeError(
      `Cannot read ${where} as its ${what} must be K rows of K: ${shortly(value)}`,
    );
  }
  return rows;
}

function promptGames(path: string, records: readonly TableRecord[]): PromptGames {
  const prompts: PreferenceMatrix[] = [];
  let incomplete = 0;
  for (const { fields, where } of records) {
    const rows = squareRows(fields.preferences, "preferences", where);
    if (rows.flat().includes(null)) {
      incomplete++;
      continue;
    }
    const wrong = rows.flat().find((p) => typeof p !== "number");
    if (wrong !== undefined) {
      throw new TypeError(
        `Cannot read ${where} as its preferences must be numbers, or null: ${shortly(wrong)}`,
      );
    }
    prompts.push(matrixGame(symmetric(rows as number[][], where)));
  }
  if (prompts.length === 0) {
    throw new RangeError(
      `Cannot use ${path} as one prompt must have all its pairs compared: none of ${records.length}`,
    );
  }
  return { kind: "prompts", prompts, incomplete };
}

/** How far P + Pᵀ may be from 1: judges compute in float32. */
const SYMMETRY = 1e-5;

function symmetric(rows: readonly (readonly number[])[], where: string): number[][] {
  return rows.map((row, i) =>
    row.map((p, j) => {
      const sum = p + rows[j]![i]!;
      if (Math.abs(sum - 1) > SYMMETRY) {
        throw new RangeError(
          `Cannot read ${where} as P + Pᵀ must be 1: ${p} + ${rows[j]![i]} at (${i}, ${j})`,
        );
      }
      return j < i ? 1 - rows[j]![i]! : i === j ? 0.5 : p;
    })
  );
}

type Verdict = 1 | 2 | 3 | null;

function verdictGame(records: readonly TableRecord[], prior: number | undefined): WholeGame {
  const prompts: VoteTable[] = [];
  let answers: readonly string[] | undefined;
  let both = 0, inconsistent = 0;
  for (const { fields, where } of records) {
    const rows = squareRows(fields.verdicts, "verdicts", where) as Verdict[][];
    const wrong = rows.flat().find((verdict) => ![1, 2, 3, null].includes(verdict));
    if (wrong !== undefined) {
      throw new TypeError(
        `Cannot read ${where} as its verdicts must be 1, 2, 3 or null: ${shortly(wrong)}`,
      );
    }
    const names = Array.isArray(fields.models)
      ? fields.models.map(String)
      : rows.map((_, index) => String(index));
    answers ??= names;
    if (names.join("\n") !== answers.join("\n") || names.length !== rows.length) {
      throw new RangeError(
        `Cannot read ${where} as every record must have the same models: ${shortly(names)}`,
      );
    }
    const votes = voteCounter(rows.length);
    for (let i = 0; i < rows.length; i++) {
      for (let j = i + 1; j < rows.length; j++) {
        const shown = points(rows[i]![j]!), swapped = points(rows[j]![i]!);
        if (shown !== undefined && swapped !== undefined) {
          both++;
          if (shown !== 1 - swapped) inconsistent++;
        }
        // The row's points in both orders; one order alone counts where the other has no verdict.
        const sides = [shown, swapped === undefined ? undefined : 1 - swapped]
          .filter((side) => side !== undefined);
        if (sides.length === 0) continue;
        const mean = sides.reduce((sum, side) => sum + side, 0) / sides.length;
        votes.add(i, j, mean > 0.5 ? "first" : mean < 0.5 ? "second" : "tie");
      }
    }
    prompts.push(votes);
  }
  return {
    ...gameOf(poolVotes(prompts), answers!, prior),
    prompts,
    orders: { both, inconsistent },
  };
}

/** What the one shown first got; undefined without a verdict. */
function points(verdict: Verdict): number | undefined {
  return verdict === null ? undefined : { 1: 1, 2: 0, 3: 0.5 }[verdict];
}

function arenaGame(records: readonly TableRecord[], prior: number | undefined): WholeGame {
  const votes = records.map(({ fields, where }) => {
    const { model_a, model_b, winner } = fields;
    const text = [model_a, model_b, winner].find((value) => typeof value !== "string");
    if (text !== undefined || typeof winner !== "string") {
      throw new TypeError(
        `Cannot read ${where} as model_a, model_b and winner must be texts: ${shortly(text)}`,
      );
    }
    const side = winner === "model_a"
      ? "first"
      : winner === "model_b"
      ? "second"
      : /\btie\b/.test(winner)
      ? "tie"
      : undefined;
    if (side === undefined) {
      throw new RangeError(
        `Cannot read ${where} as the winner must be model_a, model_b or a tie: ${shortly(winner)}`,
      );
    }
    return { first: model_a as string, second: model_b as string, side } as const;
  });
  const answers = [...new Set(votes.flatMap(({ first, second }) => [first, second]))].sort();
  const indexes = new Map(answers.map((answer, index) => [answer, index]));
  const counter: VoteCounter = voteCounter(answers.length);
  for (const { first, second, side } of votes) {
    counter.add(indexes.get(first)!, indexes.get(second)!, side);
  }
  return { ...gameOf(counter, answers, prior), prompts: [] };
}

function gameOf(
  votes: VoteTable,
  answers: readonly string[],
  prior: number | undefined,
): Pick<WholeGame, "kind" | "game" | "votes"> {
  const { size, preferences } = gameOfVotes(votes, prior);
  const rows = Array.from(
    { length: size },
    (_, i) => Array.from({ length: size }, (_, j) => preferences[i * size + j]!),
  );
  return { kind: "game", game: matrixGame(rows, answers), votes };
}
