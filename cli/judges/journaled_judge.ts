/**
 * A judge whose judgements are kept, so that a command that was killed asks for none of them again.
 *
 * @module
 */

import { fingerprint } from "../../core/hash.ts";
import type { Journal, Json } from "../../core/journal.ts";
import { checkJudgement } from "../../core/judgements.ts";
import type { ComparisonGroup, PreferenceOracle } from "../../core/oracle.ts";
import { decodeJudgement, encodeJudgement } from "../../core/records.ts";

/**
 * Asks an oracle about the groups that are not in a journal, all those of a comparison together, and
 * appends each judgement before it is given. The order of a group's responses matters: the same ones in another
 * order are another question.
 */
export function journaledJudge(oracle: PreferenceOracle, journal: Journal): PreferenceOracle {
  const list = `judgements-${fingerprint(oracle.id)}`;
  const keyOf = ({ prompt: { id, content, fields }, responses, pairs }: ComparisonGroup) => {
    const texts = responses.map(({ text }) => text);
    return `${id}#` +
      fingerprint([content, fields ?? null, texts, pairs ?? null] as unknown as Json);
  };
  return {
    ...oracle,
    async *compare(groups, options) {
      const known = new Map(await journal.records(list));
      const missing = new Map<string, ComparisonGroup>();
      for (const group of groups) {
        const key = keyOf(group);
        if (!known.has(key)) missing.set(key, group);
      }
      const stream = oracle.compare([...missing.values()], options)[Symbol.asyncIterator]();
      try {
        for (const group of groups) {
          options?.signal?.throwIfAborted();
          const key = keyOf(group);
          let record = known.get(key);
          if (record === undefined) {
            const { done, value } = await stream.next();
            if (done === true) {
              throw new RangeError(
                `Cannot keep judgements as a judge must give one per group: ` +
                  `"${oracle.id}" has none for prompt "${group.prompt.id}"`,
              );
            }
            record = encodeJudgement(checkJudgement(value, group, oracle.id));
            await journal.append(list, key, record);
            known.set(key, record);
          }
          yield decodeJudgement(record, group);
        }
      } finally {
        await stream.return?.();
      }
    },
  };
}
