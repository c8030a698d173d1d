/**
 * The terminal that the command line runs in.
 *
 * @module
 */

import { unlessAborted } from "../../judges/mod.ts";
import type { KeyTerminal } from "./terminal_voter.ts";

/** Keys pressed before a question was seen come at once; waiting so long finds them. */
const STALE_MS = 30;

/** Another screen than the one of the shell, without a cursor; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l", LEAVE = "\x1b[?25h\x1b[?1049l";

/** Whether there is a terminal to ask in: one to read from and one to write to. */
export function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/**
 * Standard input and standard error, which leaves standard output to records. However the process
 * ends, the terminal is as it was.
 */
export function keyTerminal(): KeyTerminal {
  const buffer = new Uint8Array(256);
  let reading: Promise<string | undefined> | undefined;
  /** A read that nobody waits for any more goes to the next one who reads. */
  const read = async () => {
    reading ??= Deno.stdin.read(buffer).then((count) =>
      count === null ? undefined : new TextDecoder().decode(buffer.subarray(0, count))
    );
    const typed = await reading;
    reading = undefined;
    return typed;
  };
  const write = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
  };
  const leave = () => {
    write(LEAVE);
    Deno.stdin.setRaw(false);
  };
  return {
    async open() {
      Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
      write(ENTER);
      globalThis.addEventListener("unload", leave);
      for (;;) {
        const stale = AbortSignal.timeout(STALE_MS);
        try {
          if (await unlessAborted(read(), stale) === undefined) return;
        } catch (error) {
          if (stale.aborted) return;
          throw error;
        }
      }
    },
    close() {
      globalThis.removeEventListener("unload", leave);
      leave();
    },
    read,
    write,
    size: () => Deno.consoleSize(),
    onResize(listener) {
      if (Deno.build.os === "windows") return () => {};
      Deno.addSignalListener("SIGWINCH", listener);
      return () => Deno.removeSignalListener("SIGWINCH", listener);
    },
  };
}
