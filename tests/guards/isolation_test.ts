import { strict as assert } from "node:assert";
import { ROOT } from "./_sources.ts";

async function deno(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; text: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("core and graph run without any permission", async () => {
  const program = new URL("tests/guards/_pure_program.ts", ROOT).href;
  const { code, text } = await deno(["run", "--no-prompt", "--no-npm", "--no-lock", program]);
  assert.equal(code, 0, text);
});

/**
 * Runs a program that imports the repository from a server, as whoever has no copy of it does: without
 * configuration, packages or anything in Deno's cache.
 */
async function overHttp(program: string): Promise<{ code: number; text: string }> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const type = pathname.endsWith(".ts") ? "application/typescript" : "application/octet-stream";
    const headers = { "content-type": type };
    if (pathname === "/entry.ts") return new Response(program, { headers });
    try {
      return new Response(await Deno.readFile(new URL(`.${pathname}`, ROOT)), { headers });
    } catch {
      return new Response("absent", { status: 404 });
    }
  });
  const cache = await Deno.makeTempDir();
  try {
    const host = `127.0.0.1:${server.addr.port}`;
    const args = ["--no-config", "--no-npm", "--no-lock", "--no-prompt", `--allow-import=${host}`];
    return await deno(
      ["run", "--quiet", ...args, `--allow-net=${host}`, `http://${host}/entry.ts`],
      { DENO_DIR: cache },
    );
  } finally {
    await server.shutdown();
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("mod.ts imports over HTTP without a configuration and without npm", async () => {
  const { code, text } = await overHttp(
    `import { judge, parseJudge, selfPlay } from "./mod.ts";
     console.log(typeof judge, typeof parseJudge, typeof selfPlay);`,
  );
  assert.equal(code, 0, text);
  assert.equal(text.trim(), "function function function");
});

Deno.test("the suite of backends runs by URL on a backend of someone's own, and reads its data so", async () => {
  const { code, text } = await overHttp(
    `import { createCheckedBackend } from "./examples/checked_backend.ts";
     import { conformanceCases, runConformance } from "./tests/backends/conformance.ts";
     const run = /reader|a GPT-2 with an adapter gives/;
     const skips = Object.fromEntries(
       conformanceCases().filter((name) => !run.test(name)).map((name) => [name, "elsewhere"]),
     );
     const outcomes = { passed: 0, failed: 0, skipped: 0 };
     const backend = createCheckedBackend();
     for await (
       const one of runConformance(backend, { name: "mine", tolerance: 2 ** -24, skips })
     ) {
       outcomes[one.outcome]++;
       if (one.outcome === "failed") console.log(one.name, one.reason);
     }
     console.log(outcomes.passed > 1, outcomes.failed);`,
  );
  assert.equal(code, 0, text);
  assert.equal(text.trim(), "true 0");
});
