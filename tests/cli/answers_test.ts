import { strict as assert } from "node:assert";
import { checkNeeds, promptsDigest, readPrompts } from "../../cli/prompts.ts";
import { parseJudge } from "../../judges/mod.ts";
import { parquetWriteBuffer } from "./_deps.ts";
import { inTempFolder, sppo } from "./_run.ts";

const lines = (records: readonly unknown[]) => records.map((one) => JSON.stringify(one)).join("\n");

Deno.test("readPrompts() brings columns along as fields, from every form of file", () =>
  inTempFolder(async (folder) => {
    const columnData = Object.entries({ prompt: ["6 · 7?"], answer: [42n], more: ["x"] })
      .map(([name, data]) => ({ name, data }));
    const files: Readonly<Record<string, string | Uint8Array>> = {
      "a.jsonl": lines([{ prompt: "6 · 7?", answer: 42, more: null, other: 1 }]),
      "a.csv": "prompt,answer,other\n6 · 7?,42,1\n",
      "a.parquet": new Uint8Array(parquetWriteBuffer({ columnData })),
    };
    const digests = new Set<string>();
    for (const [name, content] of Object.entries(files)) {
      const path = `${folder}/${name}`;
      await Deno.writeFile(
        path,
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
      const { prompts } = await readPrompts(path, { fields: ["answer"] });
      assert.deepEqual(prompts[0]!.fields, { answer: name === "a.csv" ? "42" : 42 }, name);
      await checkNeeds(parseJudge("number"), prompts);
      const plain = (await readPrompts(path)).prompts;
      assert.ok(!("fields" in plain[0]!));
      await assert.rejects(checkNeeds(parseJudge("number"), plain), /must have the field "answer"/);
      digests.add(promptsDigest(prompts)).add(promptsDigest(plain));
    }
    // Without fields, with a number, with a text.
    assert.equal(digests.size, 3);
    const both = `${folder}/b.jsonl`;
    await Deno.writeTextFile(both, lines([{ prompt: "?", answer: 1 }, { prompt: "?", answer: 2 }]));
    assert.equal((await readPrompts(both)).duplicates, 1);
    await assert.rejects(readPrompts(both, { fields: ["answer"] }), {
      name: "RangeError",
      message: /b\.jsonl:2 as ids must be unique: .* is also at .*b\.jsonl:1 with another answer$/,
    });
  }));

Deno.test("sppo generate keeps a column that sppo judge, judge compare and train compare with", () =>
  inTempFolder(async (cwd) => {
    const prompts = ["a", "the", "on"].map((answer, id) => ({ id, prompt: `Say ${id}.`, answer }));
    await Deno.writeTextFile(`${cwd}/prompts.jsonl`, lines(prompts));
    const small = ["--model", "embedded", "--threads", "1", "--max-tokens", "6"];
    const ran = async (args: readonly string[], code = 0) => {
      const ended = await sppo(args, { cwd });
      assert.equal(ended.code, code, ended.stderr);
      return ended;
    };
    await ran([
      ...["generate", ...small, "--input", "prompts.jsonl", "--samples", "2", "--keep", "answer"],
      ...["--output", "responses.jsonl"],
    ]);
    const judge = ["--judge", "exact + chrf@field=answer", "--input", "responses.jsonl"];
    await ran(["judge", ...judge, "--output", "judged.jsonl"]);
    const judged = (await Deno.readTextFile(`${cwd}/judged.jsonl`)).trim().split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(judged.map(({ answer }) => answer), ["a", "the", "on"]);
    assert.ok(judged.every(({ preferences }) => preferences[0].length === 2));
    const compared = await ran([
      "judge",
      "compare",
      "chrf@field=answer",
      "--input",
      "judged.jsonl",
    ]);
    assert.match(compared.stdout, /^chrf@field=answer +labels +3 /m);

    const train = (judge: string, out: string) => [
      ...["train", ...small, "--prompts", "prompts.jsonl", "--judge", judge, "--samples", "2"],
      ...[
        "--iterations",
        "1",
        "--batch",
        "8",
        "--held-out",
        "1",
        "--eval-samples",
        "1",
        "--out",
        out,
      ],
    ];
    await ran(train("chrf@field=answer + length:-3", "run"));
    const refused = await ran(train("rouge", "none"), 2);
    assert.match(
      refused.stderr,
      /Cannot judge prompt "\d" as it must have the field "reference" for the judge rouge@field=reference: it has not; field=NAME/,
    );
    // Other answers are other prompts: the run does not go on with them.
    await Deno.writeTextFile(
      `${cwd}/prompts.jsonl`,
      lines(prompts.map((prompt) => ({ ...prompt, answer: "no" }))),
    );
    const changed = await ran(["train", "--out", "run", "--iterations", "2"], 2);
    assert.match(changed.stderr, /prompts/);
  }));
