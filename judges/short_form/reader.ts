/**
 * Reading a text from left to right, with errors that say where; what every part of the grammar is read by.
 *
 * @module
 */

/** A number without a sign. */
export const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;

/** A place in a text. */
export interface Reader {
  /** Where it is, to come back to. */
  position(): number;
  /** Goes back to a place. */
  rewind(position: number): void;
  /** Whether nothing is left. */
  atEnd(): boolean;
  /** Passes over white space. */
  skip(): void;
  /** Takes a text after white space, if it is there. */
  take(text: string): boolean;
  /** Takes a text right here, if it is there. */
  takeHere(text: string): boolean;
  /** Takes what a sticky expression matches right here. */
  match(pattern: RegExp): string | undefined;
  /** Takes what it matches after white space, or fails. */
  expect(pattern: RegExp, what: string): string;
  /** Ends the reading: what must stand at a place, here when none is given. @throws {SyntaxError} */
  fail(what: string, position?: number): never;
  /** What `make` makes; its error becomes one of this place. */
  build<T>(position: number, make: () => T): T;
}

/** A reader at the start of a text, which errors call `what`. */
export function createReader(text: string, what = "judge"): Reader {
  let at = 0;
  const message = (position: number, reason: string): string =>
    `Cannot read the ${what} ${JSON.stringify(text)} as ${reason}`.concat(
      ` at position ${position + 1}`,
    );
  const reader: Reader = {
    position: () => at,
    rewind(position) {
      at = position;
    },
    atEnd: () => at >= text.length,
    skip() {
      while (/\s/u.test(text.charAt(at))) at++;
    },
    take(wanted) {
      const before = at;
      reader.skip();
      if (reader.takeHere(wanted)) return true;
      at = before;
      return false;
    },
    takeHere(wanted) {
      if (!text.startsWith(wanted, at)) return false;
      at += wanted.length;
      return true;
    },
    match(pattern) {
      pattern.lastIndex = at;
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) at += found.length;
      return found;
    },
    expect(pattern, what) {
      reader.skip();
      return reader.match(pattern) ?? reader.fail(what);
    },
    fail(what, position) {
      if (position === undefined) {
        reader.skip();
        position = at;
      }
      const rest = text.slice(position);
      const found = rest === ""
        ? "the end"
        : JSON.stringify(rest.length > 20 ? `${rest.slice(0, 20)}…` : rest);
      throw new SyntaxError(message(position, `there must be ${what}: ${found}`));
    },
    build(position, make) {
      try {
        return make();
      } catch (error) {
        if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
        const reason = error.message.replace(/^Cannot .*? as /, "");
        throw new SyntaxError(message(position, reason), { cause: error });
      }
    },
  };
  return reader;
}

/** A string as in JSON, if one begins here. */
export function readString(reader: Reader): string | undefined {
  const start = reader.position();
  if (!reader.takeHere('"')) return undefined;
  reader.rewind(start);
  const literal = reader.match(/"(?:[^"\\]|\\[^])*"/y);
  if (literal === undefined) return reader.fail("a closing quote", start);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return reader.fail('a string as in JSON, with \\" and \\\\ for quotes and backslashes', start);
  }
}

/** A path, or another text that may go without quotes. */
export function readPath(reader: Reader, what: string): string {
  reader.skip();
  return readString(reader) ?? reader.expect(/[^\s@|+*,;()"]+/uy, what);
}
