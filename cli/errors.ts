/**
 * Errors as the command line shows them.
 *
 * @module
 */

/** A message on one line, whatever was thrown. An error while cleaning up does not hide the first. */
export function oneLine(error: unknown): string {
  if (error instanceof SuppressedError) return oneLine(error.suppressed);
  const text = error instanceof Error
    ? error.message || error.name
    : `Cannot go on as something failed: ${String(error)}`;
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim();
}

/** What a value is, in a few characters, for a message. */
export function shortly(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(value) ?? "nothing";
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`;
}

/** Everything known of an error: its stack and those of its causes. */
export function fullStory(error: unknown): string {
  if (error instanceof SuppressedError) {
    return `${fullStory(error.suppressed)}\nThen, cleaning up: ${fullStory(error.error)}`;
  }
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\nCaused by: ${fullStory(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/**
 * An error of the operating system in our words.
 *
 * @param doing What we were doing, such as `read prompts.jsonl`.
 */
export function fileError(error: unknown, doing: string): Error {
  const cause = { cause: error };
  if (error instanceof Deno.errors.NotFound) {
    return new Error(`Cannot ${doing} as it must exist: no such file or folder`, cause);
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new Error(
      `Cannot ${doing} as Deno must be allowed to: ${oneLine(error)}`,
      cause,
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new Error(`Cannot ${doing} as the system must allow it: permission denied`, cause);
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return new Error(`Cannot ${doing} as it must be a file: it is a folder`, cause);
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return new Error(`Cannot ${doing} as what leads to it must be folders: a file is not`, cause);
  }
  if (diskIsFull(error)) {
    return new Error(
      `Cannot ${doing} as the disk must have room: ${oneLine(error)}; free some and continue`,
      cause,
    );
  }
  if (error instanceof Error && systemCode(error) !== undefined) {
    return new Error(`Cannot ${doing} as the system must allow it: ${oneLine(error)}`, cause);
  }
  return error instanceof Error ? error : new Error(`Cannot ${doing}: ${String(error)}`, cause);
}

/** Whether a write failed for want of room: disk, quota or the limit on a file's size. */
export function diskIsFull(error: unknown): boolean {
  const code = error instanceof Error ? systemCode(error) : undefined;
  return code !== undefined && fullCodes.includes(code);
}

/** ENOSPC, EDQUOT (Linux, macOS) and EFBIG; on Windows ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL. */
const fullCodes: readonly number[] = Deno.build.os === "windows" ? [39, 112] : [28, 122, 69, 27];

/** The operating system's number of an error, which Deno gives in the message only. */
function systemCode(error: Error): number | undefined {
  const match = /\(os error (\d+)\)/.exec(error.message);
  return match ? Number(match[1]) : undefined;
}
