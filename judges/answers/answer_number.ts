/**
 * The number that an answer comes to, exactly.
 *
 * @module
 */

/** A rational number, not always in lowest terms. */
export interface Rational {
  /** With the sign. */
  readonly numerator: bigint;
  /** Positive. */
  readonly denominator: bigint;
}

/** Digits with commas (or narrow spaces) between thousands, or without; decimals; an exponent. */
const DECIMAL = String.raw`(?:\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+`;
/**
 * A number: a sign that does not stand after a letter, a digit or a closing bracket, a currency, and
 * digits: a fraction a/b, a mixed number, LaTeX's \frac{a}{b}, or a decimal.
 */
const NUMBER = new RegExp(
  String.raw`(?<sign>(?<![\p{L}\p{N})\]}.])[-\u2212])?(?:\\?[$€£¥]\s?(?<inner>[-\u2212])?)?` +
    String.raw`(?:\\[dt]?frac\{(?<top>\d+)\}\{(?<bottom>\d+)\}` +
    String.raw`|(?:(?<whole>\d+)\s)?(?<![\d./])(?<a>\d+)\s?[/⁄]\s?(?<b>\d+)(?![\d/])` +
    String.raw`|(?<decimal>${DECIMAL})(?:[eE](?<exponent>[-+]?\d{1,3})(?![\p{L}\p{N}]))?)`,
  "gu",
);

/**
 * The number an answer comes to: what stands after the last `####` that a number follows (GSM8K's mark),
 * else in the last `\boxed{}` that has one, else the last number of the text.
 *
 * Commas between thousands, currencies before and units after it are nothing of it, per cent among them
 * (`50%` is 50, as in GSM8K). Fractions (`3/4`, `1 1/2`, `\frac{3}{4}`), exponents (`1.2e3`) and
 * signs are read; a division by 0 is no number. A hyphen between numbers (`3-4`) is no sign. Not read: numbers
 * in words, decimal commas.
 *
 * The order is that of lm-evaluation-harness's filters for GSM8K, `strict-match` before
 * `flexible-extract`; the value, not its spelling, is taken.
 *
 * @returns undefined when there is none.
 *
 * @example
 * ```ts
 * import { answerNumber } from "./answer_number.ts";
 * import assert from "node:assert/strict";
 * const value = (text: string) => {
 *   const number = answerNumber(text);
 *   return number && Number(number.numerator) / Number(number.denominator);
 * };
 * assert.equal(value("Half of 1.5 is 0.75."), 0.75);
 * assert.equal(value("So 3/4 of it\n#### 3/4\nOr 12 of 16"), 0.75);
 * assert.equal(value("It costs $-1,200.00 or so"), -1200);
 * assert.equal(answerNumber("none"), undefined);
 * ```
 */
export function answerNumber(text: string): Rational | undefined {
  const plain = text.replaceAll("{,}", ",").replaceAll("\\,", "").replaceAll("\\!", "");
  for (const mark of [...plain.matchAll(/####/g)].reverse()) {
    const [first] = numbersOf(plain.slice(mark.index + 4).split("\n")[0]!);
    if (first !== undefined && first.at === 0) return first.value;
  }
  for (const boxed of [...plain.matchAll(/\\boxed\s?\{((?:[^{}]|\{[^{}]*\})*)\}/g)].reverse()) {
    const last = numbersOf(boxed[1]!).at(-1);
    if (last !== undefined) return last.value;
  }
  return numbersOf(plain).at(-1)?.value;
}

/** The numbers of a text, and whether anything stands before them. */
function numbersOf(text: string): { readonly at: number; readonly value: Rational }[] {
  const start = text.length - text.trimStart().length;
  return [...text.matchAll(NUMBER)].flatMap((match) => {
    const value = valueOf(match.groups!);
    return value === undefined ? [] : [{ at: match.index - start, value }];
  });
}

function valueOf(parts: { readonly [name: string]: string | undefined }): Rational | undefined {
  const sign = (parts.sign === undefined) === (parts.inner === undefined) ? 1n : -1n;
  const top = parts.top ?? parts.a, bottom = parts.bottom ?? parts.b;
  if (top !== undefined && bottom !== undefined) {
    const denominator = BigInt(bottom);
    return denominator === 0n
      ? undefined
      : { numerator: sign * (BigInt(parts.whole ?? 0) * denominator + BigInt(top)), denominator };
  }
  const [whole = "", decimals = ""] = parts.decimal!.replace(/[^\d.]/g, "").split(".");
  const power = Number(parts.exponent ?? 0) - decimals.length;
  const digits = sign * BigInt(whole + decimals);
  return power < 0
    ? { numerator: digits, denominator: 10n ** BigInt(-power) }
    : { numerator: digits * 10n ** BigInt(power), denominator: 1n };
}

/**
 * |x − y| ≤ tolerance; at 0, whether they are the same number, exactly.
 *
 * @example
 * ```ts
 * import { isNear } from "./answer_number.ts";
 * import assert from "node:assert/strict";
 * const third = { numerator: 1n, denominator: 3n }, decimal = { numerator: 33n, denominator: 100n };
 * assert.deepEqual([0, 0.01].map((tolerance) => isNear(third, decimal, tolerance)), [false, true]);
 * ```
 */
export function isNear(x: Rational, y: Rational, tolerance: number): boolean {
  const difference = x.numerator * y.denominator - y.numerator * x.denominator;
  if (difference === 0n) return true;
  if (tolerance === 0) return false;
  return Math.abs(
    toNumber({ numerator: difference, denominator: x.denominator * y.denominator }),
  ) <=
    tolerance;
}

/** The nearest double, or ±Infinity. */
export function toNumber({ numerator, denominator }: Rational): number {
  const direct = Number(numerator) / Number(denominator);
  if (!Number.isNaN(direct)) return direct;
  // Both overflow: as many digits off each.
  const shift = BigInt(denominator.toString().length - 300);
  return toNumber({
    numerator: numerator / 10n ** shift,
    denominator: denominator / 10n ** shift,
  });
}
