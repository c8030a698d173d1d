/**
 * Which prompts are kept apart for evaluation.
 *
 * @module
 */

import { randomStream, shuffle } from "../core/random.ts";
import type { Prompt } from "../core/policy.ts";
import { readPrompts, type ReadPromptsOptions } from "./prompts.ts";

/** Prompts to train on, and others to evaluate on. */
export interface Division {
  readonly prompts: readonly Prompt[];
  readonly heldOut: readonly Prompt[];
}

/**
 * Divides prompts.
 *
 * @param prompts All prompts of the training file.
 * @param heldOut How many to keep apart (`80`), which share (`0.2`), or a file of others; none when
 * absent. Those kept apart are drawn by the seed, prompts of one content together; the others stay in
 * their order.
 * @throws {RangeError} When none would be left to train on, no prompts make up the number, or a prompt
 * stands in both files.
 */
export async function divide(
  prompts: readonly Prompt[],
  heldOut: string | undefined,
  { seed, ...reading }: ReadPromptsOptions & { readonly seed: number },
): Promise<Division> {
  if (heldOut === undefined) return { prompts, heldOut: [] };
  if (/^(\d+|\d*\.\d+)$/.test(heldOut)) {
    const number = Number(heldOut);
    const count = /\./.test(heldOut) ? Math.round(number * prompts.length) : number;
    if (count < 1 || count >= prompts.length) {
      throw new RangeError(
        `Cannot use --held-out as between 1 and ${
          prompts.length - 1
        } of the ${prompts.length} prompts must be kept apart: ${heldOut} is ${count}`,
      );
    }
    return apart(prompts, count, seed);
  }
  const file = await readPrompts(heldOut, reading);
  const known = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  const contents = new Set(prompts.map((prompt) => JSON.stringify(prompt.content)));
  return {
    prompts,
    heldOut: file.prompts.map((prompt) => {
      if (contents.has(JSON.stringify(prompt.content))) {
        throw new RangeError(
          `Cannot evaluate on ${heldOut} as its prompts must not be trained on: ${prompt.id} is`,
        );
      }
      // Two files often number their prompts from 1 each.
      return known.has(prompt.id) ? { ...prompt, id: `held-out:${prompt.id}` } : prompt;
    }),
  };
}

/** Prompts of one content stay on one side, so that nothing that is evaluated on was trained on. */
function apart(prompts: readonly Prompt[], count: number, seed: number): Division {
  const groups = new Map<string, number[]>();
  for (const [index, { content }] of prompts.entries()) {
    const key = JSON.stringify(content);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  }
  const inOrder = [...groups.values()];
  const chosen = new Set<number>();
  for (const at of shuffle([...inOrder.keys()], randomStream(seed, "held-out"))) {
    const group = inOrder[at]!;
    if (chosen.size + group.length > count) continue;
    for (const index of group) chosen.add(index);
    if (chosen.size === count) break;
  }
  if (chosen.size < count) {
    throw new RangeError(
      `Cannot keep ${count} of ${prompts.length} prompts apart as those of one content must stay together: ${chosen.size} could be; give another --held-out`,
    );
  }
  return {
    prompts: prompts.filter((_, index) => !chosen.has(index)),
    heldOut: prompts.filter((_, index) => chosen.has(index)),
  };
}
