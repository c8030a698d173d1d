/**
 * Runs the suite of backends in headless Chromium: `deno task test:browser`. Arguments are the backends,
 * all by default. WebGPU is Chromium's own, on its adapter in software.
 *
 * @module
 */

import { ORT_WEB_VERSION } from "../../backends/onnx/_deps.ts";
import { TFJS_VERSION } from "../../backends/tfjs/_deps.ts";
import type { CaseResult } from "../backends/conformance.ts";
import { findChromium, NO_CHROMIUM, removeFolder } from "./chromium.ts";

const ROOT = new URL("../../", import.meta.url);
const BACKENDS = ["tfjs-wasm", "onnx-wasm", "onnx-webgpu", "tfjs-webgpu"];
/** The page has so long to say something; a model takes less, also where a busy CPU compiles its shaders. */
const SILENCE_MS = 600_000;

type Finding = CaseResult & { readonly backend: string };

/** Bundles the page into a folder. */
async function bundle(folder: string): Promise<string> {
  const output = `${folder}/page.js`;
  const imports = { "node:assert/strict": new URL("assert.ts", import.meta.url).href };
  await Deno.writeTextFile(`${folder}/imports.json`, JSON.stringify({ imports }));
  await deno(
    ...["bundle", "--quiet", "--no-check", "--platform", "browser"],
    ...["--import-map", `${folder}/imports.json`, "-o", output],
    new URL("page.ts", import.meta.url).pathname,
  );
  return output;
}

async function deno(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (!success) throw new Error(`Cannot prepare the page: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Folder of a package in Deno's cache. */
async function packageFolder(name: string, version: string): Promise<string> {
  await deno("cache", "--no-lock", `npm:${name}@${version}`);
  const { npmCache } = JSON.parse(await deno("info", "--json")) as { npmCache: string };
  for await (const { name: registry } of Deno.readDir(npmCache)) {
    const folder = `${npmCache}/${registry}/${name}/${version}`;
    try {
      await Deno.stat(folder);
      return folder;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`Cannot serve ${name} ${version} as it must be in Deno's cache: it is not`);
}

/** Modules of the packages for texts, which `models/text/` reaches by these specifiers. */
const TEXT_MODULES: Readonly<Record<string, string>> = {
  "@huggingface/tokenizers": "dist/tokenizers.mjs",
  "@huggingface/jinja": "dist/index.js",
};

/** Specifiers of those packages, and the files that stand for them. */
async function textPackages(): Promise<{ specifier: string; path: string }[]> {
  const source = await Deno.readTextFile(new URL("models/text/_deps.ts", ROOT));
  const found = [...source.matchAll(/"(npm:([^"]+)@(\d[^"]*))"/g)];
  return await Promise.all(
    found.map(async ([, specifier, name, version]) => ({
      specifier: specifier!,
      path: `${await packageFolder(name!, version!)}/${TEXT_MODULES[name!]}`,
    })),
  );
}

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript",
  mjs: "text/javascript",
  wasm: "application/wasm",
  json: "application/json",
};

/** Isolation gives the page shared memory, and so threads. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

async function file(path: string): Promise<Response> {
  try {
    const type = TYPES[path.split(".").at(-1)!] ?? "application/octet-stream";
    return new Response(await Deno.readFile(path), {
      headers: { "content-type": type, ...ISOLATED },
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return new Response("absent", { status: 404 });
  }
}

const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

/** Serves the page, opens it and gathers what it finds. */
async function run(
  chromium: string,
  backends: readonly string[],
  folder: string,
): Promise<Finding[]> {
  const page = await bundle(folder);
  const ort = await packageFolder("onnxruntime-web", ORT_WEB_VERSION);
  const tfjs = await packageFolder("@tensorflow/tfjs-backend-wasm", TFJS_VERSION);
  const texts = await textPackages();
  const imports = Object.fromEntries(
    texts.map(({ specifier }, index) => [specifier, `/text/${index}.js`]),
  );
  const findings: Finding[] = [];
  const finished = Promise.withResolvers<void>();
  let silence: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(
      () => finished.reject(new Error(`the page was silent for ${SILENCE_MS / 1000} s`)),
      SILENCE_MS,
    );
  };
  const folders: readonly (readonly [string, string])[] = [
    ["/ort/", `${ort}/dist/`],
    ["/tfjs/", `${tfjs}/dist/`],
    ["/parity/data/", new URL("tests/parity/data/", ROOT).pathname],
    ["/bundle/files/", new URL("models/embedded/files/", ROOT).pathname],
  ];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    heard();
    if (pathname === "/finding") {
      const finding = await request.json() as Finding;
      findings.push(finding);
      if (finding.outcome !== "skipped") {
        print(
          `${finding.backend}: ${finding.name} ... ${finding.outcome}` +
            (finding.reason === undefined ? "" : ` (${finding.reason})`),
        );
      }
      return new Response("ok");
    }
    if (pathname === "/alive") return new Response("ok");
    if (pathname === "/finished") {
      finished.resolve();
      return new Response("ok");
    }
    if (pathname === "/") {
      return new Response(
        `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>` +
          '<script type="module" src="/bundle/page.js"></script>',
        { headers: { "content-type": "text/html", ...ISOLATED } },
      );
    }
    if (pathname === "/bundle/page.js") return await file(page);
    const text = texts[Object.values(imports).indexOf(pathname)];
    if (text) return await file(text.path);
    const found = folders.find(([prefix]) => pathname.startsWith(prefix));
    return found ? await file(found[1] + pathname.slice(found[0].length)) : await file("/absent");
  });
  const search = new URLSearchParams(backends.map((name) => ["backend", name]));
  if (Deno.env.get("SPPO_TEST_WEBGPU") !== undefined) search.set("all", "1");
  const browser = new Deno.Command(chromium, {
    args: [
      ...["--headless=new", "--no-sandbox", "--no-first-run", `--user-data-dir=${folder}/profile`],
      ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
      ...["--enable-precise-memory-info", "--js-flags=--expose-gc"],
      `http://127.0.0.1:${server.addr.port}/?${search}`,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  heard();
  try {
    await finished.promise;
  } finally {
    clearTimeout(silence);
    browser.kill();
    await browser.status;
    await server.shutdown();
  }
  return findings;
}

const chromium = await findChromium();
if (chromium === undefined) {
  print(`skipped: ${NO_CHROMIUM}`);
} else {
  print(chromium.version);
  const folder = await Deno.makeTempDir();
  try {
    const backends = Deno.args.length > 0 ? Deno.args : BACKENDS;
    const findings = await run(chromium.path, backends, folder);
    const count = (outcome: CaseResult["outcome"]) =>
      findings.filter((one) => one.outcome === outcome).length;
    print(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
    if (count("failed") > 0 || count("passed") === 0) Deno.exitCode = 1;
  } finally {
    await removeFolder(folder, print);
  }
}
