/**
 * Judges that are language models which run here, named on the command line.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import type { Backend } from "../../graph/backend.ts";
import { type LanguageJudge, languageModelJudge } from "../../judges/mod.ts";
import { localChat } from "../../models/local_chat.ts";
import { questionOf } from "./judge_question.ts";
import { loadCheckpoint, type LoadContext, loadModel } from "../load_model.ts";

/**
 * Makes the judge of a checkpoint, which is any that `--model` takes; `context.resources` disposes it.
 *
 * @throws {Error} When there is no such model, a file cannot be read, or an option is out of range.
 */
export async function loadLocalJudge(
  judge: LanguageJudge,
  backend: Backend,
  context: LoadContext,
): Promise<PreferenceOracle> {
  const question = await questionOf(judge);
  const { checkpoint } = await loadCheckpoint({ model: judge.model }, context);
  const model = await loadModel(checkpoint, backend, {}, context);
  const policy = await model.policy();
  context.resources.defer(() => policy.dispose());
  return languageModelJudge(localChat(policy), question);
}
