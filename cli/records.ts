/**
 * Records of the files that commands write and read.
 *
 * @module
 */

import type { Response } from "../core/policy.ts";
import { shortly } from "./errors.ts";

/** A response as files hold it. */
export interface ResponseRecord {
  readonly text: string;
  readonly token_ids?: readonly number[];
  readonly log_prob?: number;
  readonly finish_reason?: "stop" | "length";
}

/** A response for a file. */
export function toResponseRecord(response: Response): ResponseRecord {
  const { text, tokenIds, logProb, finishReason } = response;
  return {
    text,
    ...(tokenIds === undefined ? {} : { token_ids: [...tokenIds] }),
    ...(logProb === undefined ? {} : { log_prob: logProb }),
    ...(finishReason === undefined ? {} : { finish_reason: finishReason }),
  };
}

/**
 * A response from a file: a text, or an object with `text` and what else is known.
 *
 * @param where What to call it in messages.
 * @throws {TypeError} When it is neither.
 */
export function fromResponseRecord(value: unknown, where: string): Response {
  if (typeof value === "string") return { text: value };
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(
      `Cannot use ${where} as it must be text or an object with a text: ${shortly(value)}`,
    );
  }
  const { text, token_ids, finish_reason } = value as Record<string, unknown>;
  const ids = token_ids ?? undefined;
  if (typeof text !== "string" && ids === undefined) {
    throw new TypeError(
      `Cannot use ${where} as it must have a text or token_ids: ${shortly(value)}`,
    );
  }
  if (text !== undefined && text !== null && typeof text !== "string") {
    throw new TypeError(`Cannot use ${where} as its text must be text: ${shortly(text)}`);
  }
  if (ids !== undefined && !isIds(ids)) {
    throw new TypeError(
      `Cannot use ${where} as its token_ids must be whole numbers from 0 on: ${shortly(ids)}`,
    );
  }
  const reason = finish_reason ?? undefined;
  if (reason !== undefined && reason !== "stop" && reason !== "length") {
    throw new TypeError(
      `Cannot use ${where} as its finish_reason must be stop or length: ${shortly(reason)}`,
    );
  }
  return {
    text: text ?? "",
    ...(ids === undefined ? {} : { tokenIds: ids }),
    ...(reason === undefined ? {} : { finishReason: reason }),
  };
}

function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
}
