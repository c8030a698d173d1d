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

Deno.test("mod.ts imports over HTTP without a configuration and without npm", async () => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/entry.ts") {
      return new Response(
        `import { judge, parseJudge, selfPlay } from "./mod.ts";
         console.log(typeof judge, typeof parseJudge, typeof selfPlay);`,
        { headers: { "content-type": "application/typescript" } },
      );
    }
    try {
      const text = await Deno.readTextFile(new URL(`.${pathname}`, ROOT));
      return new Response(text, { headers: { "content-type": "application/typescript" } });
    } catch {
      return new Response("absent", { status: 404 });
    }
  });
  const cache = await Deno.makeTempDir();
  try {
    const host = `127.0.0.1:${server.addr.port}`;
    const args = ["--no-config", "--no-npm", "--no-lock", "--no-prompt", `--allow-import=${host}`];
    const { code, text } = await deno(["run", "--quiet", ...args, `http://${host}/entry.ts`], {
      DENO_DIR: cache,
    });
    assert.equal(code, 0, text);
    assert.equal(text.trim(), "function function function");
  } finally {
    await server.shutdown();
    await Deno.remove(cache, { recursive: true });
  }
});
