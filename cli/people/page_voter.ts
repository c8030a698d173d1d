/**
 * People asked on a page in their browser, which is served to this machine alone.
 *
 * @module
 */

import {
  type HumanAnswer,
  type HumanQuestion,
  takingTurns,
  unlessAborted,
  type Voter,
} from "../../judges/mod.ts";
import { fileError } from "../errors.ts";

/** A page that is served. */
export interface PageVoter extends Voter, AsyncDisposable {
  /** Its address: whoever knows it may vote, so that it is not easy to guess. */
  readonly url: string;
}

/** Options of {@linkcode servePage}. */
export interface PageVoterOptions {
  /** 0 for any that is free. */
  readonly port: number;
  /** What the button to stop does: it aborts the signal of the session. */
  readonly stop: () => void;
}

/** What the page shows. */
type Shown =
  | { readonly state: "waiting" | "ended" }
  | { readonly state: "question"; readonly id: number; readonly question: HumanQuestion };

const ASSETS: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "": ["index.html", "text/html; charset=utf-8"],
  "style.css": ["style.css", "text/css; charset=utf-8"],
  "script.js": ["script.js", "text/javascript; charset=utf-8"],
};

/** Nothing but the page's own files runs or loads. */
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

/**
 * Serves the page on 127.0.0.1, at a path that only who started it is told. Questions are sent to every
 * page that is open; the first answer counts.
 *
 * @throws {Error} When the port is taken.
 */
export async function servePage({ port, stop }: PageVoterOptions): Promise<PageVoter> {
  const path = `/${crypto.randomUUID()}/`;
  const files = new Map<string, () => Response>();
  for (const [name, [file, type]] of Object.entries(ASSETS)) {
    const text = await (await fetch(new URL(`page/${file}`, import.meta.url))).text();
    const headers = { "content-type": type, ...HEADERS };
    files.set(name, () => new Response(text, { headers }));
  }
  const pages = new Set<ReadableStreamDefaultController<Uint8Array>>();
  let shown: Shown = { state: "waiting" };
  let answered: ((answer: HumanAnswer) => void) | undefined;
  let questions = 0;
  const encoder = new TextEncoder();
  const event = (message: Shown) => encoder.encode(`data: ${JSON.stringify(message)}\n\n`);
  const show = (message: Shown) => {
    shown = message;
    for (const page of pages) page.enqueue(event(message));
  };

  function events(): Response {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        own = controller;
        pages.add(own);
        own.enqueue(event(shown));
      },
      cancel: () => void pages.delete(own),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", ...HEADERS } });
  }

  async function vote(request: Request): Promise<Response> {
    const said = await request.json().catch(() => ({})) as { id?: unknown; answer?: unknown };
    if (!isAnswer(said.answer)) return new Response("no answer", { status: 400 });
    if (shown.state !== "question" || shown.id !== said.id || answered === undefined) {
      return new Response("not asked", { status: 409 });
    }
    answered(said.answer);
    answered = undefined;
    return new Response(null, { status: 204 });
  }

  async function handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const name = pathname.startsWith(path) ? pathname.slice(path.length) : undefined;
    if (name !== undefined && request.method === "POST") {
      if (name === "vote") return await vote(request);
      if (name === "stop") {
        stop();
        return new Response(null, { status: 204 });
      }
    }
    if (name === "events") return events();
    return files.get(name ?? "absent")?.() ?? new Response("absent", { status: 404 });
  }

  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, handle);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new Error(
        `Cannot serve the page as port ${port} must be free: it is in use; page=0 takes one that is`,
      );
    }
    throw fileError(error, `serve the page on port ${port}`);
  }

  const turn = takingTurns();
  return {
    url: `http://127.0.0.1:${server.addr.port}${path}`,
    async begin(signal) {
      const end = await turn(signal);
      return {
        async ask(question, asked) {
          const answer = Promise.withResolvers<HumanAnswer>();
          answered = answer.resolve;
          show({ state: "question", id: ++questions, question });
          return await unlessAborted(answer.promise, asked);
        },
        [Symbol.dispose]() {
          answered = undefined;
          show({ state: "waiting" });
          end();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      show({ state: "ended" });
      for (const page of pages) page.close();
      pages.clear();
      await server.shutdown();
    },
  };
}

function isAnswer(value: unknown): value is HumanAnswer {
  return value === "first" || value === "second" || value === "tie" || value === "back";
}
