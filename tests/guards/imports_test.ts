import { strict as assert } from "node:assert";
import { importsOf, ROOT, type SourceFile, sourceFiles } from "./_sources.ts";

/** What each folder may import beside itself: the arrows of docs/architecture.md. */
const ARROWS: Readonly<Record<string, readonly string[] | "anything">> = {
  core: [],
  graph: [],
  models: ["graph", "core"],
  backends: ["graph"],
  judges: ["core", "models"],
  games: ["core"],
  evals: ["judges", "models", "core"],
  cli: "anything",
  examples: "anything",
  tests: "anything",
  bench: "anything",
  "mod.ts": ["core", "judges"],
};

/** Where nothing but the language may be used. */
const PURE = ["core", "graph"];
/** Where no Deno API may be used, so that it runs in a browser. */
const NO_DENO = [...PURE, "models", "judges", "games"];

function folderOf(path: string): string {
  return path.split("/")[0]!;
}

function targetOf(file: SourceFile, specifier: string): string {
  return new URL(specifier, new URL(file.path, ROOT)).href.slice(ROOT.href.length);
}

const files = await sourceFiles();

Deno.test("importsOf() finds static, type and dynamic imports", () => {
  const code = `IMPORT b FROM "b"; export type { d } FROM 'd'; const e = await IMPORT("e");
    const f = "//"; IMPORT "f"; const g = IMPORT(f);`
    .replaceAll("IMPORT", "import").replaceAll("FROM", "from");
  assert.deepEqual(importsOf({ code }), ["b", "d", "e", "f"]);
});

Deno.test("imports follow the arrows between folders", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const from = folderOf(file.path);
    const allowed = ARROWS[from];
    if (allowed === undefined) {
      wrong.push(`${file.path}: the folder has no arrows`);
      continue;
    }
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith(".")) continue;
      const to = folderOf(targetOf(file, specifier));
      if (to !== from && allowed !== "anything" && !allowed.includes(to)) {
        wrong.push(`${file.path} imports ${specifier}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("imports are relative with an extension, or node:, and npm: stands in _deps.ts", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const isDeps = file.path.endsWith("/_deps.ts");
    for (const specifier of importsOf(file)) {
      const relative = /^\.\.?\/.*\.(ts|json)$/.test(specifier);
      const node = specifier.startsWith("node:") && !PURE.includes(folderOf(file.path));
      const npm = specifier.startsWith("npm:") && isDeps;
      if (!relative && !node && !npm) wrong.push(`${file.path} imports ${specifier}`);
    }
    if (!isDeps && /["'`](npm|jsr):[@a-z]/.test(file.code)) {
      wrong.push(`${file.path} names a package`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("each npm package has one exact version", () => {
  const versions = new Map<string, Set<string>>();
  for (const file of files.filter(({ path }) => path.endsWith("/_deps.ts"))) {
    for (
      const [, name, version] of file.code.matchAll(
        /npm:((?:@[^/"'`]+\/)?[^@/"'`]+)(?:@([^/"'`]+))?/g,
      )
    ) {
      versions.set(name!, (versions.get(name!) ?? new Set()).add(version ?? "none"));
    }
  }
  const wrong = [...versions].filter(([, found]) =>
    found.size > 1 || [...found].some((version) => !/^(\d+\.\d+\.\d+|\$\{\w+\})/.test(version))
  ).map(([name, found]) => `${name}: ${[...found].join(", ")}`);
  assert.deepEqual(wrong, []);
});

Deno.test("core, graph, models, judges and games use no Deno API", () => {
  const wrong = files.filter(({ path, bare }) =>
    NO_DENO.includes(folderOf(path)) && /\bDeno\s*[.[]/.test(bare)
  );
  assert.deepEqual(wrong.map(({ path }) => path), []);
});

Deno.test("nothing is typed any", () => {
  const wrong = files.filter(({ text, bare }) =>
    /[:<|&,(]\s*any\b(?!\s*[:(?])|\bas\s+any\b/.test(bare) ||
    /deno-lint-ignore[^\n]*no-explicit-an[y]/.test(text)
  );
  assert.deepEqual(wrong.map(({ path }) => path), []);
});

Deno.test("nothing is exported as default", () => {
  const wrong = files.filter(({ code }) => /^export default\b/m.test(code));
  assert.deepEqual(wrong.map(({ path }) => path), []);
});
