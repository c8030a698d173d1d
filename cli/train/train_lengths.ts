/**
 * How long the prompts and responses of a training command are.
 *
 * @module
 */

import type { Prompt, Response } from "../../core/policy.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { Lengths } from "../../models/memory/parts.ts";
import type { PairRecord } from "../pairs.ts";
import type { TrainValues } from "./settle_train.ts";

/** What a command trains on. */
export interface TrainTexts {
  /** All that are answered, those to evaluate on included. */
  readonly prompts: readonly Prompt[];
  /** Given responses, where they are not sampled. */
  readonly records: readonly PairRecord[];
}

/**
 * The lengths that batches may be made of: of the longest prompt, and of the shortest, of which more fit
 * into a batch, each with the longest response.
 */
export async function trainLengths(
  checkpoint: Pick<Checkpoint, "text">,
  { template: asked, maxTokens, maxLength, samples, selection }: Pick<
    TrainValues,
    "template" | "maxTokens" | "maxLength" | "samples" | "selection"
  >,
  { prompts, records }: TrainTexts,
): Promise<Lengths[]> {
  const text = await checkpoint.text();
  const template = asked ?? (text.template === undefined ? "none" : "chat");
  const promptTokens = prompts.map(({ content }) => text.encodePrompt(content, template).length);
  const given = records.flatMap(({ chosen, rejected }) => rejected ? [chosen, rejected] : [chosen]);
  const responseTokens = given.length === 0
    ? maxTokens
    : Math.max(...given.map((response: Response) =>
      (response.tokenIds ?? text.encodeResponse(response.text, template)).length
    ));
  const responses = selection === "all" ? samples : selection === "best" ? 1 : 2;
  const lengths = [Math.max(...promptTokens), Math.min(...promptTokens)];
  return [...new Set(lengths)].map((promptTokens) => ({
    promptTokens,
    // What is longer is left out, or cut.
    responseTokens: Math.max(1, Math.min(responseTokens, maxLength - promptTokens)),
    responses,
  }));
}
