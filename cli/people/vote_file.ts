/**
 * A file of people's votes, a line each:
 *
 *     {"prompt_id":"p1","prompt":"…","responses":["…","…"],"verdicts":[[null,2],[null,null]]}
 *
 * `responses` stand as in their group. `verdicts` are as in other files of labels: the row was shown
 * first, the column second; 1 the first is better, 2 the second, 3 neither. So the file says which was
 * shown first, `sppo judge compare` reads it, and `sppo judge train` learns from it. Of several lines
 * about the same texts the last counts.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import { type HumanVote, voteKey, type VoteStore } from "../../judges/mod.ts";
import { shortly } from "../errors.ts";
import { openKeptLines } from "../kept_lines.ts";
import { toPrompt } from "../prompts.ts";

/** A file of votes that is open, and locked against others. */
export interface VoteFile extends VoteStore, Disposable {
  /** Votes that it held when it was opened. */
  readonly before: number;
  /** Votes that were given since then, the last of each pair. */
  given(): readonly HumanVote[];
}

/**
 * Opens a file of votes, which is made when it is not there.
 *
 * @throws {Error} When it cannot be opened, or someone else has it open.
 * @throws {TypeError} When a line is no vote.
 */
export function openVoteFile(path: string): VoteFile {
  const file = openKeptLines(path);
  try {
    const votes = new Map(file.records.map(({ value, where }) => {
      const vote = toVote(value, where);
      return [voteKey(vote.prompt.content, ...vote.responses), vote];
    }));
    const given = new Map<string, HumanVote>();
    return {
      before: votes.size,
      given: () => [...given.values()],
      get: (key) => votes.get(key),
      set(key, vote) {
        file.append(toLine(vote));
        votes.set(key, vote);
        given.set(key, vote);
      },
      [Symbol.dispose]: () => file[Symbol.dispose](),
    };
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

function toLine({ prompt, responses, first, better }: HumanVote): Json {
  const verdict = better === "neither" ? 3 : better === first ? 1 : 2;
  return {
    prompt_id: prompt.id,
    prompt: prompt.content as Json,
    responses,
    verdicts: first === 0 ? [[null, verdict], [null, null]] : [[null, null], [verdict, null]],
  };
}

function toVote(value: unknown, where: string): HumanVote {
  const fields = typeof value === "object" && value !== null
    ? value as Record<string, unknown>
    : {};
  const { responses, verdicts } = fields;
  const [one, other] = Array.isArray(responses) && responses.length === 2 ? responses : [];
  const cells = [[0, 1], [1, 0]].map(([i, j]) =>
    Array.isArray(verdicts) && Array.isArray(verdicts[i!]) ? verdicts[i!][j!] ?? null : null
  );
  const first = cells[0] === null ? 1 : 0;
  const verdict = cells[first];
  if (
    typeof one !== "string" || typeof other !== "string" || cells[1 - first] !== null ||
    !(verdict === 1 || verdict === 2 || verdict === 3)
  ) {
    throw new TypeError(
      `Cannot read ${where} as it must have two responses and one verdict, as votes are written: ${
        shortly(value)
      }`,
    );
  }
  const second = first === 0 ? 1 : 0;
  return {
    prompt: toPrompt({ fields, where }),
    responses: [one, other],
    first,
    better: verdict === 3 ? "neither" : verdict === 1 ? first : second,
  };
}
