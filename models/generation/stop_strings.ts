/**
 * Strings that end a response.
 *
 * @module
 */

/** Characters that may read differently where a text is decoded from its middle. */
const MARGIN = 16;

/**
 * Watches a response for stop strings as it grows by tokens. Only its last tokens are decoded, so
 * that a response of T tokens takes time in T, not in T²; where they hold a stop string, all are.
 *
 * A stop string may span tokens, and a token may hold characters behind it.
 *
 * @param stops Not empty.
 * @param decode Text of tokens.
 * @returns What to call after each token, with all tokens so far: the text before the first stop
 * string, or undefined while there is none.
 */
export function stopWatch(
  stops: readonly string[],
  decode: (ids: readonly number[]) => string,
): (tokens: readonly number[]) => string | undefined {
  const enough = Math.max(...stops.map((stop) => stop.length)) + MARGIN;
  // Tokens from `start` on hold at least `enough` characters, so that whatever the next token
  // completes lies within them.
  let start = 0;
  return (tokens) => {
    const tail = decode(tokens.slice(start));
    if (stops.some((stop) => tail.includes(stop))) {
      const text = decode(tokens);
      const cuts = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
      if (cuts.length > 0) return text.slice(0, Math.min(...cuts));
    }
    if (tail.length >= 4 * enough) {
      const middle = Math.floor((start + tokens.length) / 2);
      if (decode(tokens.slice(middle)).length >= enough) start = middle;
    }
    return undefined;
  };
}
