import { strict as assert } from "node:assert";
import { peakMemory } from "../../cli/peak_memory.ts";

const MIB = 2 ** 20;
const HELD = 600 * MIB;

const ignore = Deno.build.os !== "linux"; // elsewhere it is the system's own number

Deno.test({
  name: "peakMemory() counts what this process held, and not what its parent held",
  ignore,
  async fn() {
    const before = peakMemory();
    const held = new Uint8Array(HELD).fill(1);
    assert.equal(held.at(-1), 1);
    assert.ok(peakMemory() >= Math.max(before, HELD));
    const module = new URL("../../cli/peak_memory.ts", import.meta.url).href;
    const code = `import { peakMemory } from "${module}"; console.log(peakMemory());`;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, code);
      const run = async (...permissions: string[]) => {
        const { stdout } = await new Deno.Command(Deno.execPath(), {
          args: ["run", "--quiet", "--no-prompt", "--no-check", ...permissions, file],
        }).output();
        return Number(new TextDecoder().decode(stdout));
      };
      const own = await run("--allow-ffi");
      assert.ok(own > 20 * MIB && own < HELD, `${own}`);
      assert.ok(await run() >= own); // getrusage, which may count ours
    } finally {
      await Deno.remove(file);
    }
  },
});
