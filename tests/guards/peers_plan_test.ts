import { strict as assert } from "node:assert";
import { parseRequirements } from "../../bench/peers/_install.ts";
import { commandOf, COMPARISONS, comparisonsOf } from "../../bench/peers/_plan.ts";

const root = new URL("../../", import.meta.url);
const places = { model: "model.gguf", venv: "venv", npm: "npm", made: "made" };

Deno.test("each comparison with peers has a script that knows its options, and a section", async () => {
  const document = await Deno.readTextFile(new URL("docs/performance.md", root));
  for (const comparison of COMPARISONS) {
    const { name } = comparison;
    assert.ok(document.includes(`<!-- ${name}: begin -->\n`), `${name} has no section`);
    assert.ok(document.includes(`<!-- ${name}: end -->`), `${name}'s section has no end`);
    const words = commandOf(comparison, places, "performance.md");
    const script = words.find((word) => word.endsWith(".ts"))!;
    const code = await Deno.readTextFile(script);
    assert.ok(code.includes(`"${name}"`), `${script} writes no section ${name}`);
    for (const option of words.slice(words.indexOf(script)).filter((one) => one.startsWith("--"))) {
      assert.ok(code.includes(`[${option}`) || code.includes(`${option} `), `${name}: ${option}`);
    }
  }
});

Deno.test("comparisonsOf() names the comparisons there are when asked for another", () => {
  assert.deepEqual(comparisonsOf([]), COMPARISONS);
  assert.deepEqual(comparisonsOf(["generate"]).map(({ name }) => name), ["generate"]);
  assert.throws(() => comparisonsOf(["generate", "jax"]), {
    name: "RangeError",
    message: `Cannot compare as --only must name comparisons (${
      COMPARISONS.map(({ name }) => name).join(", ")
    }): jax`,
  });
});

Deno.test("parseRequirements() finds what the comparisons need of Python", async () => {
  const path = new URL("tests/parity/requirements.txt", root);
  const packages = parseRequirements(await Deno.readTextFile(path));
  for (const { name, version } of packages) assert.match(version, /^\d+(\.\d+)+$/, name);
  const named = COMPARISONS.flatMap(({ python }) => python === "all" ? ["torch", "trl"] : python);
  for (const name of named) assert.ok(packages.some((one) => one.name === name), name);
});
