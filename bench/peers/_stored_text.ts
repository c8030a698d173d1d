/**
 * What both sides work on: the prompts and answers of `tests/parity/data/smollm2.json`, as token ids of
 * SmolLM2's vocabulary.
 *
 * @module
 */

/** The pairs of a step, in the form of `torch_step.py --ids`. */
export interface StepData {
  readonly eta: number;
  readonly groups: readonly {
    readonly prompt_ids: readonly number[];
    /** The winner first. */
    readonly responses: readonly {
      readonly ids: readonly number[];
      readonly win_rate: number;
      /** Set by `--write-ids`. */
      readonly previous_log_prob?: number;
    }[];
  }[];
}

interface Stored {
  readonly pairs: readonly {
    readonly prompt_token_ids: readonly number[];
    readonly token_ids: readonly number[];
  }[];
}

async function stored(): Promise<Stored["pairs"]> {
  const path = new URL("../../tests/parity/data/smollm2.json", import.meta.url);
  return (JSON.parse(await Deno.readTextFile(path)) as Stored).pairs;
}

/** The prompts with their answers. */
export async function storedAnswers(): Promise<
  { readonly promptIds: readonly number[]; readonly responseIds: readonly number[] }[]
> {
  return (await stored()).map(({ prompt_token_ids, token_ids }) => ({
    promptIds: prompt_token_ids,
    responseIds: token_ids,
  }));
}

/** Prompts of 39 to 55 tokens. */
export async function storedPrompts(): Promise<(readonly number[])[]> {
  return (await stored()).map(({ prompt_token_ids }) => prompt_token_ids);
}

/**
 * Pairs whose rows all have the same length. A prompt is a stored one with the beginning of its answer;
 * the winner goes on with that answer, the loser with another one.
 *
 * It is text, and not random ids, so that log-probabilities are those of text: sums of hundreds of
 * improbable tokens have roundings as large as the losses that are compared.
 *
 * @throws {RangeError} When not enough answers are long enough.
 */
export async function storedPairs(
  { pairs, promptTokens, responseTokens }: {
    readonly pairs: number;
    readonly promptTokens: number;
    readonly responseTokens: number;
  },
): Promise<StepData> {
  const all = (await stored()).filter(({ prompt_token_ids }) =>
    prompt_token_ids.length <= promptTokens
  );
  const shortest = Math.min(...all.map(({ prompt_token_ids }) => prompt_token_ids.length));
  const long = all.filter(({ token_ids }) =>
    token_ids.length >= promptTokens - shortest + responseTokens
  );
  if (long.length < 2 * pairs) {
    throw new RangeError(
      `Cannot make ${pairs} pairs as ${
        2 * pairs
      } stored answers must be long enough: ${long.length}`,
    );
  }
  return {
    eta: 2,
    groups: Array.from({ length: pairs }, (_, pair) => {
      const [winner, loser] = [long[2 * pair]!, long[2 * pair + 1]!];
      const begun = promptTokens - winner.prompt_token_ids.length;
      const rest = (ids: readonly number[]) => ids.slice(begun, begun + responseTokens);
      return {
        prompt_ids: [...winner.prompt_token_ids, ...winner.token_ids.slice(0, begun)],
        responses: [
          { ids: rest(winner.token_ids), win_rate: 0.8 },
          { ids: rest(loser.token_ids), win_rate: 0.3 },
        ],
      };
    }),
  };
}
