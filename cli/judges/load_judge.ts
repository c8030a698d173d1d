/**
 * A judge named on the command line.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { estimatePreferences, type EstimateWinRatesOptions } from "../../core/estimators.ts";
import { checkJudgement } from "../../core/judgements.ts";
import {
  type CompareOptions,
  type ComparisonGroup,
  type Judgement,
  needsOf,
  type PreferenceOracle,
} from "../../core/oracle.ts";
import type { Backend } from "../../graph/backend.ts";
import { type ClosedJudge, closedJudges, combineTerms, readJudge } from "../../judges/mod.ts";
import { fileError, oneLine } from "../errors.ts";
import { loadLocalJudge } from "./load_local_judge.ts";
import { type BackendArguments, loadBackend, type LoadContext } from "../load_model.ts";
import { loadModelJudge } from "./load_model_judge.ts";
import { loadPersonJudge } from "./load_person_judge.ts";
import { loadServerJudge } from "./load_server_judge.ts";
import { openPairFile } from "../pair_file.ts";

/**
 * Makes the judge of a short form such as `length:40-80` or `pair-rm:PATH`, or takes it from a TypeScript module (a path
 * or a URL ending in .ts, .js or .mjs) that exports `judge` or `oracle`: a PreferenceOracle, or a
 * function that returns one. The id of a judge from a local module also covers the module's text.
 *
 * @param place Where models compute; they share one backend, made when the first is opened.
 * @throws {Error} When there is no such judge, naming what was given.
 */
export async function loadJudge(
  text: string,
  place: BackendArguments,
  context: LoadContext,
): Promise<PreferenceOracle> {
  if (moduleUrl(text) !== undefined) return await loadModuleJudge(text);
  const terms = readJudge(text);
  let made: Promise<Backend> | undefined;
  const backend = () => made ??= loadBackend(place, context.resources);
  const loadModel = loadModelJudge(backend, context), loadPerson = loadPersonJudge(context);
  const opened = new Map<ClosedJudge, PreferenceOracle>();
  for (const judge of closedJudges(terms)) opened.set(judge, await open(judge));
  return combineTerms(terms, {
    opened: (judge) => opened.get(judge)!,
    store: (file) => context.resources.use(openPairFile(file)),
  });

  async function open(judge: ClosedJudge): Promise<PreferenceOracle> {
    switch (judge.kind) {
      case "llm":
        return judge.texts.url === undefined
          ? await loadLocalJudge(judge, await backend(), context)
          : await loadServerJudge(judge, context);
      case "module":
        return await loadModuleJudge(judge.path);
      case "pair-rm":
      case "reward":
      case "gpm":
        return await loadModel(judge);
      case "human":
        return await loadPerson(judge);
      default:
        return judge satisfies never;
    }
  }
}

/** Takes a judge from a module. */
async function loadModuleJudge(text: string): Promise<PreferenceOracle> {
  const url = moduleUrl(text) ?? pathToFileURL(resolve(text));
  const source = url.protocol === "file:" ? await moduleText(url, text) : text;
  let module: Record<string, unknown>;
  try {
    module = await import(url.href);
  } catch (error) {
    throw new Error(`Cannot use the judge ${text} as it must be importable: ${oneLine(error)}`, {
      cause: error,
    });
  }
  const exported = module.judge ?? module.oracle;
  if (exported === undefined) {
    throw new TypeError(
      `Cannot use the judge ${text} as it must export judge or oracle: it exports ${
        Object.keys(module).join(", ") || "nothing"
      }`,
    );
  }
  const oracle: unknown = typeof exported === "function" ? await exported() : exported;
  if (!isOracle(oracle)) {
    throw new TypeError(
      `Cannot use the judge ${text} as what it exports must be a PreferenceOracle with id and compare: ${
        kindOf(oracle)
      }`,
    );
  }
  const digest = createHash("sha256").update(source).digest("hex").slice(0, 16);
  return {
    id: `${oracle.id}@${digest}`,
    ...needsOf([oracle]),
    compare: (groups, options) => comparedBy(oracle, text, groups, options),
  };
}

/** What a user's judge says; its errors with the judge's name and the prompt it was at. */
async function* comparedBy(
  oracle: PreferenceOracle,
  text: string,
  groups: readonly ComparisonGroup[],
  options: CompareOptions | undefined,
): AsyncGenerator<Judgement> {
  let done = 0;
  try {
    for await (const judgement of oracle.compare(groups, options)) {
      done++;
      yield judgement;
    }
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    const at = groups[done] === undefined
      ? "end after the last prompt"
      : `judge prompt ${groups[done]!.prompt.id}`;
    throw new Error(`Cannot use the judge ${text} as it must ${at}: ${oneLine(error)}`, {
      cause: error,
    });
  }
}

/**
 * Judges one group where an estimator needs more than preferences, so that a judge that does not give
 * it is refused before long work.
 *
 * @param text What named the judge.
 * @throws {Error} When the judge fails on the group, or its judgement does not serve the estimator.
 */
export async function checkEstimator(
  oracle: PreferenceOracle,
  text: string,
  options: Pick<EstimateWinRatesOptions, "estimator" | "preferenceTemperature">,
  group: ComparisonGroup,
  signal: AbortSignal,
): Promise<void> {
  const { estimator = "matrix", preferenceTemperature } = options;
  if (estimator === "matrix" && preferenceTemperature === undefined) return;
  const flag = estimator === "matrix" ? "--preference-temperature" : `--estimator ${estimator}`;
  const withoutLogits = new TypeError(
    `Cannot use the judge ${text} as it must give logits for ${flag}: it gives preferences only`,
  );
  if (asksPeople(text)) throw withoutLogits; // without asking them
  for await (const judgement of oracle.compare([group], { signal })) {
    if (checkJudgement(judgement, group, oracle.id).logits === undefined) {
      throw withoutLogits;
    }
    estimatePreferences(judgement, options);
  }
}

function asksPeople(text: string): boolean {
  return moduleUrl(text) === undefined &&
    closedJudges(readJudge(text)).some(({ kind }) => kind === "human");
}

function moduleUrl(text: string): URL | undefined {
  if (/^(https?|file|data|jsr|npm):/.test(text)) return new URL(text);
  const isPath = /\.(ts|mts|js|mjs)$/.test(text) && !/(?:^|[\s+*])module:/.test(text);
  return isPath ? pathToFileURL(resolve(text)) : undefined;
}

async function moduleText(url: URL, text: string): Promise<string> {
  try {
    return await Deno.readTextFile(fileURLToPath(url));
  } catch (error) {
    throw fileError(error, `read the judge ${text}`);
  }
}

function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) {
    return `it is ${value === null ? "null" : typeof value}`;
  }
  return `it has ${Object.keys(value).join(", ") || "nothing"}`;
}

function isOracle(value: unknown): value is PreferenceOracle {
  return typeof value === "object" && value !== null &&
    "id" in value && typeof value.id === "string" &&
    "compare" in value && typeof value.compare === "function";
}
