/**
 * As much of `node:assert/strict` as the suite of backends uses, for browsers.
 *
 * @module
 */

/** What a failed assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

function show(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 300) ?? String(value);
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return left.length === right.length &&
    left.every(([key, value]) => Object.hasOwn(b, key) && same(value, b[key as keyof typeof b]));
}

/** What a rejection or an exception must be: of a class, equal, or as a function or pattern says. */
type Expected = RegExp | Error | ((error: Error) => boolean) | (new (...given: never[]) => Error);

function check(error: unknown, expected: Expected | undefined): void {
  if (expected === undefined) return;
  if (expected instanceof RegExp) match((error as Error).message, expected);
  else if (expected instanceof Error) ok(same(error, expected) || error === expected, show(error));
  else if (expected.prototype instanceof Error || expected === Error) {
    ok(error instanceof (expected as new () => Error), `${error} is of another class`);
  } else ok((expected as (error: Error) => boolean)(error as Error), `${error} is refused`);
}

function ok(value: unknown, message = "a true value was expected"): void {
  if (!value) throw new AssertionError(message);
}

function equal(actual: unknown, expected: unknown, message?: string): void {
  ok(Object.is(actual, expected), message ?? `${show(actual)} is not ${show(expected)}`);
}

function deepEqual(actual: unknown, expected: unknown, message?: string): void {
  ok(same(actual, expected), message ?? `${show(actual)} is not ${show(expected)}`);
}

function match(text: string, pattern: RegExp): void {
  ok(pattern.test(text), `${show(text)} does not match ${pattern}`);
}

function throws(run: () => unknown, expected?: Expected): void {
  try {
    run();
  } catch (error) {
    check(error, expected);
    return;
  }
  throw new AssertionError("an exception was expected");
}

async function rejects(
  run: Promise<unknown> | (() => unknown),
  expected?: Expected,
): Promise<void> {
  try {
    await (typeof run === "function" ? run() : run);
  } catch (error) {
    check(error, expected);
    return;
  }
  throw new AssertionError("a rejection was expected");
}

const assert = Object.assign(ok, { ok, equal, deepEqual, match, throws, rejects });
export { assert as default };
