/**
 * The styles of the cyclic experiment: lists beat examples, examples beat short answers, short answers
 * beat lists, unevenly; an answer that is none of them loses to all three.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/mod.ts";
import {
  classifier,
  lengthFeature,
  lexiconFeature,
  lexicons,
  regexFeature,
} from "../../judges/mod.ts";

/** The judge in the short form that `--judge` takes. */
export const CYCLE =
  "cycle:regex:/^\\s*(\\d+\\.|[-*])\\s/m,example,length:-70@strengths=.9/.6/.7,none=.9";

const STRENGTHS = [0.9, 0.6, 0.7];
const NONE = 0.9;

/** Names of the styles, in the order of {@linkcode styleOf}. */
export const STYLES = ["list", "example", "short", "none"] as const;

const classify = classifier([
  regexFeature(/^\s*(\d+\.|[-*])\s/m),
  lexiconFeature({ phrases: lexicons.example }),
  lengthFeature({ max: 70 }),
]);

/** Index of an answer's style. */
export function styleOf(text: string): number {
  const style = classify(text);
  return style < 0 ? STYLES.length - 1 : style;
}

/** The game over the styles: P(style i ≻ style j). */
export function styleGame(): PreferenceMatrix {
  const size = STYLES.length;
  const preferences = new Float64Array(size * size).fill(0.5);
  const set = (i: number, j: number, p: number) => {
    preferences[i * size + j] = p;
    preferences[j * size + i] = 1 - p;
  };
  STRENGTHS.forEach((p, i) => {
    set(i, (i + 1) % 3, p);
    set(i, 3, NONE);
  });
  return { size, preferences };
}
