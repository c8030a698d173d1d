/**
 * Games in text.
 *
 * @module
 */

import { type MatrixGame, matrixGame } from "./matrix_game.ts";

/** Options of {@linkcode parseGame}. */
export interface ParseGameOptions {
  /** What to call the text in messages. */
  readonly name?: string;
  /** The payoff of a sure win; the largest there is by default. Not for preferences. */
  readonly win?: number;
}

/** How far P + Pᵀ may be from 1 in text, whose decimals are rounded. */
const ROUNDING = 1e-6;

/**
 * A game from text: either n lines of n numbers, or one line per ordered pair,
 * `row, column, payoff`, with or without brackets and quotes.
 *
 * A matrix with P + Pᵀ = 1 holds preferences. Anything else is payoffs, which are made antisymmetric,
 * M ← (M − Mᵀ)/2 (measurements of a pair in both orders differ by noise), and preferences by
 * P = ½ + M / 2w, w the payoff of a sure win.
 *
 * @throws {SyntaxError} When a line is neither, or a pair is missing or stands twice.
 * @throws {RangeError} When a payoff is above that of a sure win.
 *
 * @example
 * ```ts
 * import { parseGame } from "./parse_game.ts";
 * import assert from "node:assert/strict";
 * assert.equal(parseGame("0.5 0.75\n0.25 0.5").preferences[1], 0.75);
 * const game = parseGame("('a', 'a', 1)\n('a', 'b', 6)\n('b', 'a', -4)\n('b', 'b', 0)", { win: 10 });
 * assert.deepEqual(game.answers, ["a", "b"]);
 * assert.equal(game.preferences[1], 0.75);
 * ```
 */
export function parseGame(text: string, options: ParseGameOptions = {}): MatrixGame {
  const { name = "the game" } = options;
  const lines = text.split(/\r?\n/).flatMap((line, index) =>
    line.trim() === "" ? [] : [{ text: line.trim(), where: `${name}:${index + 1}` }]
  );
  if (lines.length === 0) {
    throw new SyntaxError(`Cannot read ${name} as it must hold a game: it is empty`);
  }
  const isMatrix = lines.every(({ text }) => text.split(/[\s,;]+/).every(isNumber));
  return isMatrix ? fromMatrix(lines, options) : fromPairs(lines, options);
}

interface Line {
  readonly text: string;
  readonly where: string;
}

function isNumber(word: string): boolean {
  return word !== "" && isFinite(Number(word));
}

function fromMatrix(lines: readonly Line[], options: ParseGameOptions): MatrixGame {
  const rows = lines.map(({ text, where }) => {
    const row = text.split(/[\s,;]+/).map(Number);
    if (row.length !== lines.length) {
      throw new SyntaxError(
        `Cannot read ${where} as a matrix must be square: ${row.length} numbers in one of ` +
          `${lines.length} lines`,
      );
    }
    return row;
  });
  return gameOfPayoffs(rows, undefined, options);
}

function fromPairs(lines: readonly Line[], options: ParseGameOptions): MatrixGame {
  const pairs = lines.map(({ text, where }) => {
    const fields = text.replace(/^[([]|[)\]]$/g, "").split(/[,\t;]/)
      .map((field) => field.trim().replace(/^(["'])(.*)\1$/, "$2"));
    const [row, column, payoff] = fields;
    if (fields.length !== 3 || row === "" || column === "" || !isNumber(payoff!)) {
      throw new SyntaxError(
        `Cannot read ${where} as a line must be a row of numbers, or two names and a payoff: ${
          text.slice(0, 40)
        }`,
      );
    }
    return { row: row!, column: column!, payoff: Number(payoff), where };
  });
  const names = [...new Set(pairs.flatMap(({ row, column }) => [row, column]))].sort();
  const indexes = new Map(names.map((name, index) => [name, index]));
  const rows = names.map(() => new Array<number>(names.length).fill(NaN));
  for (const { row, column, payoff, where } of pairs) {
    const cells = rows[indexes.get(row)!]!, at = indexes.get(column)!;
    if (!Number.isNaN(cells[at])) {
      throw new SyntaxError(
        `Cannot read ${where} as pairs must stand once: ${row}, ${column} twice`,
      );
    }
    cells[at] = payoff;
  }
  for (const [i, row] of rows.entries()) {
    if (Number.isNaN(row[i])) row[i] = 0;
    for (const [j, payoff] of row.entries()) {
      if (!Number.isNaN(payoff)) continue;
      // One order of a pair says what the other is.
      const mirrored = rows[j]![i]!;
      if (Number.isNaN(mirrored)) {
        throw new SyntaxError(
          `Cannot read ${options.name ?? "the game"} as every pair must have a payoff: none for ` +
            `${names[i]}, ${names[j]}`,
        );
      }
      row[j] = -mirrored;
    }
  }
  return gameOfPayoffs(rows, names, options);
}

function gameOfPayoffs(
  rows: readonly (readonly number[])[],
  names: readonly string[] | undefined,
  { name = "the game", win }: ParseGameOptions,
): MatrixGame {
  const size = rows.length;
  const mirror = (i: number, j: number) => rows[j]![i]!;
  const arePreferences = rows.every((row, i) =>
    row.every((p, j) => p >= 0 && p <= 1 && Math.abs(p + mirror(i, j) - 1) <= ROUNDING)
  );
  const skew = rows.map((row, i) =>
    row.map((value, j) => arePreferences ? value - 0.5 : (value - mirror(i, j)) / 2)
  );
  const largest = rows.flat().reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const sure = arePreferences ? 0.5 : win ?? largest;
  if (!(sure >= largest || arePreferences)) {
    throw new RangeError(
      `Cannot read ${name} as no payoff may be above that of a sure win, ${sure}: ${largest}`,
    );
  }
  // A game whose payoffs are all 0 is one of ties.
  const scale = sure === 0 ? 0 : 0.5 / sure;
  const preferences = skew.map((row) => [...row]);
  for (let i = 0; i < size; i++) {
    preferences[i]![i] = 0.5;
    for (let j = i + 1; j < size; j++) {
      preferences[i]![j] = Math.min(1, Math.max(0, 0.5 + scale * skew[i]![j]!));
      preferences[j]![i] = 1 - preferences[i]![j]!;
    }
  }
  return matrixGame(preferences, names);
}
