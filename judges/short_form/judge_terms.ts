/**
 * Judges of the short form as data, and the oracles of them once what must be opened is open.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import type { PairStore } from "../cached_judge.ts";
import { mixtureJudge } from "../mixture_judge.ts";
import type { LanguageJudge, ModelJudge } from "./model_judges.ts";
import type { PersonJudge } from "./person_judge.ts";
import { type WrapperName, wrappers } from "./wrappers.ts";

/** A judge in a TypeScript module, as it was read. */
export interface ModuleJudge {
  /** A module. */
  readonly kind: "module";
  /** Its path or URL. */
  readonly path: string;
}

/** A judge that has to be opened or reached before it can be asked. */
export type ClosedJudge = ModelJudge | LanguageJudge | PersonJudge | ModuleJudge;

/** A judge over judges, as it was read. */
export interface WrappedJudge {
  /** What is done with them. */
  readonly kind: WrapperName;
  /** One, or several of a panel; each is a mixture of terms. */
  readonly judges: readonly (readonly JudgeTerm[])[];
  /** Numbers by the names of options. */
  readonly options: Readonly<Record<string, number>>;
  /** Where a cache keeps its answers; in memory when absent. */
  readonly file?: string;
}

/** A term of a mixture as it was read. */
export interface JudgeTerm {
  /** A scripted judge, one to be opened, or one over others. */
  readonly judge: PreferenceOracle | ClosedJudge | WrappedJudge;
  /** Positive. */
  readonly weight: number;
}

/** What gives the parts of a judge that are not in its text. */
export interface JudgeParts {
  /** The oracle of a judge that was opened. */
  opened(judge: ClosedJudge): PreferenceOracle;
  /** The store of a cache's file. */
  store(file: string): PairStore;
}

function isWrapped(judge: ClosedJudge | WrappedJudge): judge is WrappedJudge {
  return Object.hasOwn(wrappers, judge.kind);
}

/** The judges in some terms that have to be opened, from left to right. */
export function closedJudges(terms: readonly JudgeTerm[]): ClosedJudge[] {
  return terms.flatMap(({ judge }) => {
    if (!("kind" in judge)) return [];
    return isWrapped(judge) ? judge.judges.flatMap(closedJudges) : [judge];
  });
}

/**
 * The oracle of some terms: the one there is, or their mixture.
 *
 * @param terms At least one; weights are divided by their sum.
 */
export function combineTerms(terms: readonly JudgeTerm[], parts: JudgeParts): PreferenceOracle {
  const mixed = terms.map(({ judge, weight }) => ({ oracle: oracleOf(judge, parts), weight }));
  return mixed.length === 1 ? mixed[0]!.oracle : mixtureJudge(mixed);
}

function oracleOf(judge: JudgeTerm["judge"], parts: JudgeParts): PreferenceOracle {
  if (!("kind" in judge)) return judge;
  if (!isWrapped(judge)) return parts.opened(judge);
  const oracles = judge.judges.map((terms) => combineTerms(terms, parts));
  const store = judge.file === undefined ? undefined : parts.store(judge.file);
  return wrappers[judge.kind].make(oracles, judge.options, store);
}
