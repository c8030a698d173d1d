/**
 * Groups of responses with what is known of their pairs, for `sppo judge compare`.
 *
 * @module
 */

import type { Prompt, Response } from "../core/policy.ts";
import type { OrderReport, RatedGroup } from "../judges/mod.ts";
import { type LabelledGroup, labelledGroup, labelledPairs } from "../models/mod.ts";
import { toPrompt } from "./prompts.ts";
import { fromResponseRecord } from "./records.ts";
import { readTable, type TableRecord } from "./table_file.ts";

/** A file's groups. */
export interface RatedFile {
  /** What judges are asked; of a file without texts, where no judge is asked, empty. */
  readonly asked: readonly { readonly prompt: Prompt; readonly responses: readonly Response[] }[];
  /** The labels, a group per record, all null where it has none; absent where no record has any. */
  readonly labels?: readonly RatedGroup[];
  /** What verdicts given in both orders come to; absent without any. */
  readonly orders?: OrderReport;
}

/**
 * Reads records with `responses` and, if they have labels, `preferences` or `verdicts`; or `chosen` and
 * `rejected`. Without judges neither `prompt` nor, beside labels, `responses` need be there.
 *
 * @param judged Whether judges are asked.
 * @param fields Columns that come along as the prompts' fields.
 * @throws {TypeError} When a record lacks what is needed.
 * @throws {RangeError} When there is no record, or nothing to look at.
 */
export async function readRatedFile(
  path: string,
  { judged, column, fields = [] }: {
    readonly judged: boolean;
    readonly column: string;
    readonly fields?: readonly string[];
  },
): Promise<RatedFile> {
  const items: Item[] = [];
  for await (const record of readTable(path)) items.push(readItem(record, judged, column, fields));
  if (items.length === 0) {
    throw new RangeError(`Cannot read ${path} as it must hold at least one record: it holds none`);
  }
  const labelled = items.some(({ group }) => group !== undefined);
  if (!labelled && !judged) {
    throw new RangeError(
      `Cannot read ${path} as without judges its records must have labels (preferences, verdicts, or ` +
        `chosen and rejected): ${items.length} have none`,
    );
  }
  const orders = ordersOf(items.flatMap(({ group, ordered }) => group && ordered ? [group] : []));
  return {
    asked: items.flatMap(({ ask }) => ask ?? []),
    ...(labelled ? { labels: items.map(ratedGroup) } : {}),
    ...(orders.pairs > 0 ? { orders } : {}),
  };
}

interface Item {
  readonly size: number;
  readonly group?: LabelledGroup;
  /** Whether both orders were asked apart from each other: of verdicts only. */
  readonly ordered: boolean;
  readonly texts?: readonly string[];
  readonly ask?: RatedFile["asked"][number];
}

function readItem(
  record: TableRecord,
  judged: boolean,
  column: string,
  names: readonly string[],
): Item {
  const { fields, where } = record;
  const { responses, verdicts, preferences, chosen } = fields;
  const prompt = judged ? toPrompt(record, column, names) : undefined;
  const rows = preferences ?? verdicts;
  const known = Array.isArray(responses) || chosen !== undefined;
  if (judged && !known) {
    throw new TypeError(
      `Cannot read ${where} as it must have responses, or chosen and rejected, for a judge: it has ${
        Object.keys(fields).slice(0, 8).join(", ") || "nothing"
      }`,
    );
  }
  const hasLabels = rows !== undefined || chosen !== undefined;
  // Tables of labels alone have as many responses as rows; their texts, blank here, are not looked at.
  const blank = Array.isArray(rows) && !known ? { responses: rows.map(() => "") } : {};
  const group = hasLabels
    ? labelledGroup({ ...fields, ...blank }, prompt?.content ?? "", where)
    : undefined;
  const texts = group?.responses ??
    (Array.isArray(responses) ? responses : []).map((response, index) =>
      fromResponseRecord(response, `response ${index + 1} at ${where}`).text
    );
  return {
    size: texts.length,
    ...(group ? { group } : {}),
    ordered: preferences === undefined && verdicts !== undefined,
    ...(known ? { texts } : {}),
    ...(prompt ? { ask: { prompt, responses: texts.map((text) => ({ text })) } } : {}),
  };
}

function ratedGroup({ size, group, texts }: Item): RatedGroup {
  const preferences = Array.from({ length: size }, () => new Array<number | null>(size).fill(null));
  for (const { left, right, label } of group ? labelledPairs([group]) : []) {
    preferences[left]![right] = label;
    preferences[right]![left] = 1 - label;
  }
  return { preferences, ...(texts ? { lengths: texts.map(characters) } : {}) };
}

/** Length of a text in code points. */
export function characters(text: string): number {
  return [...text].length;
}

function ordersOf(groups: readonly LabelledGroup[]): OrderReport {
  let pairs = 0, inconsistent = 0, first = 0, difference = 0;
  for (const { labels } of groups) {
    for (let i = 0; i < labels.length; i++) {
      for (let j = i + 1; j < labels.length; j++) {
        const there = labels[i]![j] ?? null, back = labels[j]![i] ?? null;
        if (there === null || back === null) continue;
        pairs++;
        if (Math.sign(there - 0.5) !== Math.sign(0.5 - back)) inconsistent++;
        first += (there + back) / 2;
        difference += Math.abs(there + back - 1);
      }
    }
  }
  return { pairs, inconsistent, first: first / pairs, difference: difference / pairs };
}
