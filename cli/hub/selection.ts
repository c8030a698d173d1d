/**
 * Which files of a repository a model needs.
 *
 * @module
 */

import type { HubName } from "./name.ts";

/** Configuration and text, read where they are there. */
const DESCRIPTION = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
];
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const SHARD = /^model-\d+-of-\d+\.safetensors$/;

/**
 * The paths of a repository that its model needs: the `.gguf` file that is named, or the only one of a
 * repository without `config.json`; else configuration, tokenizer and safetensors.
 *
 * @param paths All files of the repository.
 * @throws {Error} When the named file is not there, or there are several to choose from, or no model.
 */
export function neededFiles({ repository, file }: HubName, paths: readonly string[]): string[] {
  const fail = (rule: string, found: string): never => {
    throw new Error(`Cannot use ${repository} as ${rule}: ${found}`);
  };
  const ggufs = paths.filter((path) => /\.gguf$/i.test(path));
  const list = (names: readonly string[]) =>
    names.slice(0, 20).join(", ") + (names.length > 20 ? ", …" : "") || "none";
  if (file !== undefined) {
    if (!paths.includes(file)) fail(`it must have the file ${file}`, `it has ${list(ggufs)}`);
    return [file];
  }
  if (!paths.includes("config.json")) {
    if (ggufs.length === 1) return ggufs;
    if (ggufs.length > 1) {
      fail(`one of its files must be named, ${repository}/FILE.gguf`, list(ggufs));
    }
    fail("it must have config.json or a .gguf file", list(paths));
  }
  const weights = paths.includes(SINGLE)
    ? [SINGLE]
    : paths.filter((path) => path === INDEX || SHARD.test(path));
  if (weights.length === 0) fail(`it must have ${SINGLE} or ${INDEX}`, list(paths));
  return [...DESCRIPTION.filter((name) => paths.includes(name)), ...weights.sort()];
}
