/**
 * Where the tests find data that is not part of the repository.
 *
 * @module
 */

const root = Deno.env.get("SPPO_SHARED") ??
  decodeURIComponent(new URL("../../shared", import.meta.url).pathname);

/** Path of a file of the shared data, where it is there. */
export function sharedPath(relative: string): string | undefined {
  const path = `${root}/${relative}`;
  try {
    Deno.statSync(path);
    return path;
  } catch {
    return undefined;
  }
}

/** What a test says when a file of the shared data is not there. */
export function skipReason(relative: string): string {
  return `skipped: ${relative} is not in SPPO_SHARED`;
}
