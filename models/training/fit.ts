/**
 * What a fit runs on.
 *
 * @module
 */

import type { Loss } from "../../core/mod.ts";
import type { BoundExecutable, Store } from "../../graph/mod.ts";
import type { Trainable } from "../programs/likelihood.ts";

/** The programs and stores of one fit; `LanguageModel.fit` makes one. */
export interface Fit {
  /** The tensors being trained, starting from the policy's. */
  readonly trained: Store;
  /** Sums of gradients. */
  readonly gradients: Store;
  /** The optimizer's moments. */
  readonly moments: Store;
  /** Adds a micro-batch's gradients. */
  readonly gradient: BoundExecutable;
  /** Squared norms of the gradients. */
  readonly norm: BoundExecutable;
  /** Steps the optimizer. */
  readonly step: BoundExecutable;
  /** Names and shapes of what is trained. */
  readonly trainable: Trainable;
  /** The objective. */
  readonly loss: Loss;
  /** Log-probabilities under what is being trained; for losses of a whole batch alone. */
  readonly likelihood: BoundExecutable | undefined;
  /** Frees all but `trained`, which is the result. */
  dispose(): Promise<void>;
}
