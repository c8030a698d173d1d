/**
 * Names of models on the Hugging Face hub.
 *
 * @module
 */

/** A model on the hub. */
export interface HubName {
  /** `owner/name`. */
  readonly repository: string;
  /** Branch, tag, pull request or commit; undefined is the hub's `main`. */
  readonly revision?: string;
  /** One file of the repository, where a `.gguf` file is named. */
  readonly file?: string;
}

/** What begins a name whose files may be downloaded. */
export const HUB_PREFIX = "hf:";

const PART = "[A-Za-z0-9](?:[\\w.-]*[\\w-])?";
const REVISION = "refs/pr/\\d+|[\\w.-]+";
const FORM = new RegExp(
  `^(${PART}/${PART})(?:@(${REVISION}))?(?:/((?:[\\w. ()+-]+/)*[\\w. ()+-]+\\.gguf))?$`,
);

/**
 * The parts of `owner/name[@revision][/file.gguf]`.
 *
 * @returns undefined where the text has another form; then it can only be a path.
 *
 * @example
 * ```ts
 * import { parseHubName } from "./name.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.deepEqual(parseHubName("bartowski/Qwen2.5-GGUF@v1/q4/model.gguf"), {
 *   repository: "bartowski/Qwen2.5-GGUF",
 *   revision: "v1",
 *   file: "q4/model.gguf",
 * });
 * assert.equal(parseHubName("./a/b"), undefined);
 * ```
 */
export function parseHubName(text: string): HubName | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [, repository, revision, file] = match;
  if (/(^|\/)\.\.?(\/|$)/.test(text) || revision?.startsWith(".")) return undefined;
  if (/\.(gguf|bin|json|safetensors)$/i.test(repository!)) return undefined; // a file in a folder
  return {
    repository: repository!,
    ...(revision === undefined ? {} : { revision }),
    ...(file === undefined ? {} : { file }),
  };
}
