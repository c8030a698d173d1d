/**
 * Judges that are models, named on the command line.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import type { Backend } from "../../graph/backend.ts";
import {
  generalPreferenceJudge,
  lengthPenalised,
  type ModelJudge,
  pairJudge,
  rewardEnsemble,
  rewardJudge,
} from "../../judges/mod.ts";
import type { CheckpointFiles } from "../../models/checkpoints/open.ts";
import { PairRanker } from "../../models/preference/pair_ranker.ts";
import { PreferenceEmbedder } from "../../models/preference/preference_embedder.ts";
import { isTrainedJudge, openTrainedJudge } from "../../models/preference/judge_files.ts";
import type { PreferenceHead } from "../../models/preference/preference_head.ts";
import {
  openClassifier,
  openRewardModel,
  type ReaderParts,
  ResponseReader,
} from "../../models/preference/response_reader.ts";
import { fileError } from "../errors.ts";
import { openCheckpointFiles, openFiles } from "../file_source.ts";
import { findOnHub } from "../hub/find.ts";
import { loadCheckpoint, type LoadContext } from "../load_model.ts";

/**
 * What opens models on a backend and makes judges of them; `context.resources` disposes them.
 */
export function loadModelJudge(
  backend: () => Promise<Backend>,
  context: LoadContext,
): (judge: ModelJudge) => Promise<PreferenceOracle> {
  const { resources, progress, signal } = context;
  const loading = {
    signal,
    onProgress: ({ done, total }: { readonly done: number; readonly total: number }) =>
      progress.update("loading the judge", done, total, "bytes"),
  };
  /** Reads a model's files, and sees to its end. */
  async function open<M extends { dispose(): Promise<void> }>(
    path: string,
    load: (files: CheckpointFiles) => Promise<M>,
  ): Promise<M> {
    try {
      const onHub = await findOnHub(path, context);
      using open = await (onHub ? openFiles(onHub.paths) : openCheckpointFiles(path));
      const model = await load(open.files);
      resources.defer(() => model.dispose());
      progress.finish();
      return model;
    } catch (error) {
      throw fileError(error, `read the judge ${path}`);
    }
  }
  /** The parts of a judge: trained by `sppo judge train`, or a classifier as transformers saves it. */
  async function parts(
    files: CheckpointFiles,
    kind: PreferenceHead["kind"],
  ): Promise<{ readonly parts: ReaderParts; readonly tau?: number }> {
    if (!isTrainedJudge(files)) {
      return {
        parts: await (kind === "bradley-terry" ? openRewardModel(files) : openClassifier(files)),
      };
    }
    const { head, parts } = await openTrainedJudge(
      files,
      async (base) => (await loadCheckpoint({ model: base }, context)).checkpoint,
    );
    if (head.kind !== kind) {
      throw new RangeError(
        `Cannot use the trained judge as it must be a ${kind} one: it is ${head.kind}`,
      );
    }
    return { parts, ...(head.kind === "general-preference" ? { tau: head.tau } : {}) };
  }
  return async ({ kind, paths, options }) => {
    const number = (name: string) => {
      const value = options[name]?.[0];
      return value === undefined ? {} : { [name]: value };
    };
    switch (kind) {
      case "pair-rm": {
        const on = await backend();
        const ranker = await open(paths[0]!, (files) => PairRanker.load(files, on, loading));
        return pairJudge(ranker, number("temperature"));
      }
      case "reward": {
        const on = await backend();
        const terms = [];
        for (const [index, path] of paths.entries()) {
          const model = await open(
            path,
            async (files) =>
              await ResponseReader.load((await parts(files, "bradley-terry")).parts, on, loading),
          );
          terms.push({ model, weight: options.weights?.[index] ?? 1 });
        }
        const one = terms.length === 1 ? terms[0]!.model : rewardEnsemble(terms);
        const penalty = options.penalty?.[0];
        const model = penalty === undefined ? one : lengthPenalised(one, penalty);
        return rewardJudge(model, number("temperature"));
      }
      case "gpm": {
        const on = await backend();
        const normalize = options.normalize?.[0] === 1;
        let own: number | undefined;
        const model = await open(paths[0]!, async (files) => {
          const opened = await parts(files, "general-preference");
          own = opened.tau;
          return await PreferenceEmbedder.load(opened.parts, on, { ...loading, normalize });
        });
        return generalPreferenceJudge(model, {
          ...(own === undefined ? {} : { tau: own }),
          ...number("tau"),
        });
      }
      default:
        return kind satisfies never;
    }
  };
}
