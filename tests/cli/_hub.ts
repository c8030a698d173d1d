/**
 * A Hugging Face hub on the loopback interface: the part of its interface that downloads use.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** A repository. */
export interface FakeRepository {
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Files that the listing gives as large ones, by their SHA-256. */
  readonly large: readonly string[];
}

/** How the hub misbehaves. */
export interface HubFaults {
  /** Bytes of a large file after which its connection breaks, for each attempt in turn. */
  dropAfter?: number[];
  /** Answers for every request. */
  status?: number;
  /** Contents in place of those listed. */
  replace?: Record<string, Uint8Array>;
  /** Sends whole files where parts are asked for. */
  noRanges?: boolean;
  /** Token that requests must carry. */
  token?: string;
}

/** A running hub. */
export interface FakeHub extends AsyncDisposable {
  readonly url: string;
  readonly faults: HubFaults;
  /** `METHOD path range` of each request for a file's content, in order. */
  readonly requests: string[];
  /** Tokens that came to the server that large files are on. */
  readonly strayTokens: string[];
}

const hex = (kind: string, ...parts: (string | Uint8Array)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash(kind)).digest("hex");

/** Git's name of a content. */
export function gitHash(bytes: Uint8Array): string {
  return hex("sha1", `blob ${bytes.length}\0`, bytes);
}

/** The name of a large content. */
export function sha256(bytes: Uint8Array): string {
  return hex("sha256", bytes);
}

/** Starts a hub with one repository. Large files come from another server, as on the real one. */
export function serveHub(repository: string, content: FakeRepository): FakeHub {
  const faults: HubFaults = {};
  const requests: string[] = [];
  const strayTokens: string[] = [];
  const { commit, files, large } = content;
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };

  const storage = Deno.serve(options, (request) => {
    const token = request.headers.get("authorization");
    if (token !== null) strayTokens.push(token);
    const path = decodeURIComponent(new URL(request.url).pathname.slice(1));
    return send(path, request);
  });

  function send(path: string, request: Request): Response {
    const asked = request.headers.get("range");
    if (asked !== "bytes=0-0") requests.push(`${path} ${asked ?? "whole"}`);
    const bytes = faults.replace?.[path] ?? files[path]!;
    const range = faults.noRanges && asked !== "bytes=0-0"
      ? null
      : /^bytes=(\d+)-(\d+)?$/.exec(asked ?? "");
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(Number(range?.[2] ?? bytes.length - 1), bytes.length - 1);
    const part = bytes.slice(start, end + 1);
    const drop = large.includes(path) && asked !== "bytes=0-0"
      ? faults.dropAfter?.shift()
      : undefined;
    return new Response(drop === undefined ? part : breaking(part, drop), {
      status: range ? 206 : 200,
      headers: {
        "content-length": `${part.length}`,
        etag: `"${large.includes(path) ? sha256(bytes) : gitHash(bytes)}"`,
        ...(range ? { "content-range": `bytes ${start}-${end}/${bytes.length}` } : {}),
      },
    });
  }

  const server = Deno.serve(options, (request) => {
    const { pathname } = new URL(request.url);
    if (faults.status !== undefined) {
      return Response.json({ error: "not today" }, { status: faults.status });
    }
    if (faults.token && request.headers.get("authorization") !== `Bearer ${faults.token}`) {
      return Response.json({ error: "Invalid credentials" }, { status: 401 });
    }
    const api = `/api/models/${repository}`;
    if (pathname === `${api}/revision/main`) return Response.json({ id: repository, sha: commit });
    if (pathname === `${api}/tree/${commit}`) return Response.json(listing(content));
    const resolve = `/${repository}/resolve/${commit}/`;
    const path = decodeURIComponent(pathname).slice(resolve.length);
    if (!pathname.startsWith(resolve) || !Object.hasOwn(files, path)) {
      return Response.json({ error: "Entry not found" }, { status: 404 });
    }
    return large.includes(path)
      ? Response.redirect(`http://127.0.0.1:${storage.addr.port}/${path}`)
      : send(path, request);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    faults,
    requests,
    strayTokens,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await storage.shutdown();
    },
  };
}

function listing({ files, large }: FakeRepository): unknown[] {
  const folders = new Set(
    Object.keys(files).filter((path) => path.includes("/")).map((path) => path.split("/")[0]!),
  );
  return [
    ...[...folders].map((path) => ({ type: "directory", path, size: 0, oid: "0".repeat(40) })),
    ...Object.entries(files).map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: gitHash(bytes),
      ...(large.includes(path) ? { lfs: { oid: sha256(bytes), size: bytes.length } } : {}),
    })),
  ];
}

/** The beginning of a body, which ends before the length that its headers give. */
function breaking(bytes: Uint8Array, after: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (after > 0) controller.enqueue(bytes.slice(0, after));
      controller.close();
    },
  });
}
