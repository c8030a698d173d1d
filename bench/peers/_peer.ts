/**
 * A peer: a process that loads its model, then does one piece of work a line. The protocol is in
 * `protocol.py`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** What a peer says of one piece of work. */
export interface PeerAnswer {
  readonly seconds: number;
  readonly peak_rss_mib: number;
  readonly [key: string]: unknown;
}

/** A peer that is ready. Between two pieces of work its process is stopped, threads that spin included. */
export interface Peer {
  /** Versions of what it computes with. */
  readonly versions: Readonly<Record<string, string>>;
  /** Does one piece of work. @throws {Error} With what the peer says, when it cannot. */
  run(...words: readonly (string | number)[]): Promise<PeerAnswer>;
  /** Ends the process and waits for it, so that its memory is free again. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whole lines of a stream, as they come. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/**
 * Starts a script of this folder and waits until its model is loaded. What its libraries print goes to
 * standard error.
 *
 * @param command What runs the script: Python, or several words such as `deno run`.
 * @throws {Error} When it ends before it is ready.
 */
export async function startPeer(
  command: string | readonly string[],
  script: string,
  args: readonly string[],
): Promise<Peer> {
  const [program, ...words] = typeof command === "string" ? [command] : command;
  const process = new Deno.Command(program!, {
    args: [...words, fileURLToPath(new URL(script, import.meta.url)), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const input = process.stdin.getWriter();
  const lines = linesOf(process.stdout);

  async function answer(doing: string): Promise<Record<string, unknown>> {
    const { value } = await lines.next();
    if (value === undefined) {
      const { code } = await process.status;
      throw new Error(`Cannot ${doing} as ${script} must go on: it ended with code ${code}`);
    }
    const answered = JSON.parse(value) as Record<string, unknown>;
    if (answered.error !== undefined) {
      throw new Error(`Cannot ${doing} as ${script} must do it: ${answered.error}`);
    }
    return answered;
  }

  let ended = false;
  void process.status.then(() => ended = true);
  const signal = (name: "SIGSTOP" | "SIGCONT") => {
    if (!ended && Deno.build.os !== "windows") process.kill(name);
  };
  const ready = await answer("start the peer");
  signal("SIGSTOP");
  return {
    versions: ready.versions as Record<string, string>,
    async run(...words) {
      signal("SIGCONT");
      try {
        await input.write(new TextEncoder().encode(`${["run", ...words].join(" ")}\n`));
        return await answer(`run ${words.join(" ")}`.trim()) as unknown as PeerAnswer;
      } finally {
        signal("SIGSTOP");
      }
    },
    async [Symbol.asyncDispose]() {
      signal("SIGCONT");
      await input.close().catch(() => {}); // it may have ended already
      await lines.return(undefined);
      await process.status;
    },
  };
}
