/**
 * What stands between a client and a server, and fails.
 *
 * @module
 */

/** A request's body with what it was answered. */
export interface Exchange {
  readonly path: string;
  readonly request: unknown;
  readonly status: number;
  readonly response: unknown;
}

/** A proxy at work. */
export interface Proxy extends AsyncDisposable {
  /** Where it listens. */
  readonly port: number;
}

/** A proxy that closes its first connections without an answer, and then lets everything through. */
export function droppingProxy(port: number, drops: number): Proxy & { dropped(): number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const pipes: Promise<unknown>[] = [];
  let dropped = 0;
  const accepting = (async () => {
    for await (const from of listener) {
      if (dropped < drops) {
        dropped++;
        await from.read(new Uint8Array(1));
        from.close();
        continue;
      }
      const to = await Deno.connect({ hostname: "127.0.0.1", port });
      pipes.push(from.readable.pipeTo(to.writable).catch(() => {}));
      pipes.push(to.readable.pipeTo(from.writable).catch(() => {}));
    }
  })();
  return {
    port: listener.addr.port,
    dropped: () => dropped,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting.catch(() => {});
    },
  };
}

/**
 * A proxy that answers its first requests with these statuses, and passes the others on; `exchanges` are those.
 *
 * @param target Such as `http://127.0.0.1:8080`.
 */
export function failingProxy(
  target: string,
  statuses: readonly number[] = [],
): Proxy & { readonly exchanges: readonly Exchange[] } {
  const left = [...statuses], exchanges: Exchange[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (incoming) => {
    const request = await incoming.json();
    const status = left.shift();
    if (status !== undefined) {
      const headers = { "retry-after-ms": "1" };
      return Response.json({ error: { message: "try later" } }, { status, headers });
    }
    const { pathname } = new URL(incoming.url);
    const answer = await fetch(`${target}${pathname}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    const response = await answer.json();
    exchanges.push({ path: pathname, request, status: answer.status, response });
    return Response.json(response, { status: answer.status });
  });
  return {
    port: server.addr.port,
    exchanges,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
