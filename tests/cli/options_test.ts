import { strict as assert } from "node:assert";
import { commandHelp, generalHelp } from "../../cli/commands/help.ts";
import { commands } from "../../cli/commands/mod.ts";
import { parseConfig, parseFlags, resolveValues, toConfig } from "../../cli/options/parse.ts";
import { presets, tables, trainOptions } from "../../cli/options/tables.ts";
import { flagName } from "../../cli/options/spec.ts";
import { fullSchema, SCHEMA_FILE } from "../../cli/schema.ts";
import { VERSION } from "../../cli/version.ts";
import { fc } from "../_deps.ts";
import { Ajv2020 } from "./_deps.ts";

Deno.test("parseFlags() reads numbers, words, lists and switches", () => {
  const args = ["--top-p=0.5", "--samples", "4", "--lora-targets", "q_proj, v_proj", "--verbose"];
  assert.deepEqual(parseFlags(trainOptions, args), {
    topP: 0.5,
    samples: 4,
    loraTargets: ["q_proj", "v_proj"],
    verbose: true,
  });
});

Deno.test("parseFlags() takes the last of a flag given twice", () => {
  assert.deepEqual(parseFlags(trainOptions, ["--samples", "4", "--samples", "6"]), { samples: 6 });
});

const wrongFlags: readonly [readonly string[], ErrorConstructor, RegExp][] = [
  [
    ["--sample", "4"],
    TypeError,
    /--sample as there is no such option \(did you mean --samples\?\)/,
  ],
  [["--samples"], TypeError, /--samples as it needs a value: none follows/],
  [["--samples", "--eta"], TypeError, /--samples as it needs a value: --eta follows/],
  [["--samples", "four"], TypeError, /--samples as it must be a whole number: "four"/],
  [["--samples", ""], TypeError, /--samples as it must be a whole number: ""/],
  [["--samples", "0"], RangeError, /--samples as it must be at least 1: 0/],
  [["--samples", "2.5"], RangeError, /--samples as it must be a whole number: 2.5/],
  [["--top-p", "1.5"], RangeError, /--top-p as it must be at most 1: 1.5/],
  [["--eta", "0"], RangeError, /--eta as it must be above 0: 0/],
  [["--eta", "-1"], RangeError, /--eta as it must be above 0: -1/],
  [["--eta", "Infinity"], RangeError, /--eta as it must be finite/],
  [["--estimator", "mean"], RangeError, /--estimator as it must be one of matrix, scores: mean/],
  [["--verbose=yes"], TypeError, /--verbose as it takes no value: yes/],
  [["--model="], RangeError, /--model as it must not be empty: ""/],
  [
    ["--lora-targets", "a,,b"],
    RangeError,
    /--lora-targets as its words must not be empty: \["a","","b"\]/,
  ],
  [["prompts.txt"], TypeError, /the arguments as each option must start with --: prompts.txt/],
  [["-x"], TypeError, /-x as there is no such option/],
];

for (const [args, type, message] of wrongFlags) {
  Deno.test(`parseFlags() refuses ${args.join(" ")}`, () => {
    assert.throws(() => parseFlags(trainOptions, args), (error: Error) => {
      assert.equal(error.constructor, type);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("parseFlags() gives values or a clear error for any arguments", () => {
  const words = Object.keys(trainOptions).map(flagName);
  const word = fc.oneof(
    fc.constantFrom(...words),
    fc.string(),
    fc.constantFrom("--", "-", "=", "1"),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (args) => {
      try {
        parseFlags(trainOptions, args);
      } catch (error) {
        assert.match((error as Error).message, /^Cannot use /);
      }
    }),
    { numRuns: 2000, seed: 1 },
  );
});

Deno.test("parseConfig() names the file and the key of what is wrong", () => {
  const wrong: readonly [unknown, RegExp][] = [
    [[], /run.json as it must hold one JSON object: \[\]/],
    [{ sample: 4 }, /"sample" of run.json as there is no such option \(did you mean samples\?\)/],
    [{ samples: "4" }, /"samples" of run.json as it must be a whole number: "4"/],
    [{ out: "x" }, /"out" of run.json as there is no such option/],
    [{ lora_targets: "q_proj" }, /"lora_targets" of run.json as it must be a list of words/],
    [{ __proto__: null, constructor: 1 }, /"constructor" of run.json as there is no such option/],
  ];
  for (const [config, message] of wrong) {
    assert.throws(() => parseConfig(trainOptions, config, "run.json"), { message });
  }
});

Deno.test("parseConfig() gives values or a clear error for any JSON", () => {
  const keys = ["samples", "top_p", "model", "judge", "lora_targets", "$schema"];
  const config = fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), fc.jsonValue());
  fc.assert(
    fc.property(fc.oneof(config, fc.jsonValue()), (value) => {
      try {
        parseConfig(trainOptions, value, "run.json");
      } catch (error) {
        assert.match((error as Error).message, /^Cannot use /);
      }
    }),
    { numRuns: 2000, seed: 2 },
  );
});

Deno.test("resolveValues() puts flags before the file, the file before the preset, then defaults", () => {
  const given = { model: "m", prompts: "p", judge: "j", out: "o" };
  const values = resolveValues(trainOptions, [
    { ...given, samples: 3 },
    { samples: 4, eta: 5 },
    presets.paper,
  ]);
  assert.deepEqual([values.samples, values.eta, values.learningRate, values.topP], [
    3,
    5,
    5e-7,
    0.9,
  ]);
});

Deno.test("resolveValues() names a required option that is missing", () => {
  assert.throws(() => resolveValues(trainOptions, [{ prompts: "p" }]), {
    name: "TypeError",
    message: /--model must be given/,
  });
});

Deno.test("toConfig() writes what parseConfig() reads", () => {
  const given = { model: "m", prompts: "p", judge: "j", out: "o" };
  const values = resolveValues(trainOptions, [given, presets.lora]);
  const read = parseConfig(trainOptions, toConfig(trainOptions, values), "config.json");
  const { out: _, ...kept } = given;
  assert.deepEqual(resolveValues(trainOptions, [{ ...read, out: "o" }]), values);
  assert.equal(read.model, kept.model);
});

Deno.test("docs/config.schema.json is current", async () => {
  assert.deepEqual(
    JSON.parse(await Deno.readTextFile(SCHEMA_FILE)),
    fullSchema(),
    "run: deno task schema",
  );
});

Deno.test("the schema takes what parseConfig() takes, and refuses what it refuses", () => {
  const validate = new Ajv2020({ strict: false }).compile(fullSchema() as object);
  const configs: readonly [boolean, unknown][] = [
    [true, { samples: 5, top_p: 1, lora_targets: ["q_proj"], $schema: "x" }],
    [false, { samples: 0 }],
    [false, { samples: 2.5 }],
    [false, { top_p: 0 }],
    [false, { estimator: "mean" }],
    [false, { out: "x" }],
    [false, { lora_targets: [] }],
    [false, { model: "" }],
  ];
  for (const [good, config] of configs) {
    assert.equal(validate(config), good, JSON.stringify(config));
    if (good) parseConfig(trainOptions, config, "run.json");
    else assert.throws(() => parseConfig(trainOptions, config, "run.json"));
  }
});

Deno.test("help lists every command and every option", async () => {
  assert.deepEqual(commands.map(({ name }) => name), Object.keys(tables));
  const general = generalHelp(commands);
  for (const command of commands) {
    assert.ok(general.includes(`  ${command.name}`));
    const help = await commandHelp(command);
    for (const key of Object.keys(command.options)) {
      assert.ok(help.includes(`  ${flagName(key)}`), `${command.name} ${key}`);
    }
    for (const line of help.split("\n")) assert.ok(line.length < 140, line);
  }
});

Deno.test("VERSION is deno.json's", async () => {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  assert.equal(JSON.parse(text).version, VERSION);
});
