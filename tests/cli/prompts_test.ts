import { strict as assert } from "node:assert";
import { divide } from "../../cli/held_out.ts";
import { contentId, readPrompts } from "../../cli/prompts.ts";
import { readTable } from "../../cli/table_file.ts";
import { fc } from "../_deps.ts";
import { parquetWriteBuffer } from "./_deps.ts";
import { inTempFolder } from "./_run.ts";

/** Writes a file and reads its prompts; messages name it by its name alone. */
async function promptsIn(name: string, content: string | Uint8Array, column?: string) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/${name}`;
  try {
    await Deno.writeFile(
      path,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    return await readPrompts(path, column === undefined ? {} : { column });
  } catch (error) {
    if (error instanceof Error) error.message = error.message.replaceAll(`${folder}/`, "");
    throw error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function parquet(columns: Readonly<Record<string, readonly unknown[]>>): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({
    columnData: Object.entries(columns).map(([name, data]) => ({ name, data: [...data] })),
  }));
}

const same: readonly [string, string | Uint8Array][] = [
  ["a.jsonl", '\ufeff{"prompt":"Why?","id":7}\r\n\n{"prompt":"How, \\"so\\"?","id":8}'],
  ["a.ndjson", '{"prompt":"Why?","id":7}\n{"prompt":"How, \\"so\\"?","prompt_id":"8","id":1}\n'],
  ["a.json", '[{"prompt":"Why?","id":7},{"prompt":"How, \\"so\\"?","id":"8"}]'],
  ["a.csv", '\ufeffid,prompt\r\n7,Why?\r\n8,"How, ""so""?"\r\n'],
  ["a.parquet", parquet({ prompt: ["Why?", 'How, "so"?'], id: [7, 8] })],
];

for (const [name, content] of same) {
  Deno.test(`readPrompts() reads ${name}`, async () => {
    assert.deepEqual(await promptsIn(name, content), {
      prompts: [{ id: "7", content: "Why?" }, { id: "8", content: 'How, "so"?' }],
      duplicates: 0,
    });
  });
}

Deno.test("readPrompts() reads a prompt a line from .txt, with ids from the content", async () => {
  const { prompts } = await promptsIn("a.txt", "Why?\r\n\n  \nHow so?");
  assert.deepEqual(prompts, [
    { id: contentId("Why?"), content: "Why?" },
    { id: contentId("How so?"), content: "How so?" },
  ]);
});

Deno.test("readPrompts() reads messages, another column, and a JSON list of texts", async () => {
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Why?" }];
  const line = JSON.stringify({ question: messages });
  assert.deepEqual((await promptsIn("a.jsonl", line, "question")).prompts[0]!.content, messages);
  assert.equal((await promptsIn("a.json", '["Why?"]')).prompts[0]!.content, "Why?");
});

Deno.test("readPrompts() leaves out repeated prompts and counts them", async () => {
  const { prompts, duplicates } = await promptsIn("a.txt", "Why?\nHow?\nWhy?\n");
  assert.deepEqual([prompts.length, duplicates], [2, 1]);
});

const wrong: readonly [string, string | Uint8Array, RegExp][] = [
  ["a.jsonl", '{"prompt":"a"}\n{"prompt":', /^Cannot read a.jsonl:2 as it must be JSON/],
  ["a.jsonl", '{"prompt":"a"}\n[1]', /^Cannot read a.jsonl:2 as it must be a JSON object/],
  [
    "a.jsonl",
    '{"text":"a","n":1}',
    /^Cannot read a.jsonl:1 as it must have a prompt: it has text, n/,
  ],
  ["a.jsonl", '{"prompt":" "}', /^Cannot use the prompt at a.jsonl:1 as it must not be blank: " "/],
  [
    "a.jsonl",
    '{"prompt":5}',
    /^Cannot use the prompt at a.jsonl:1 as it must be text or a list of messages: 5/,
  ],
  ["a.jsonl", '{"prompt":[]}', /as it must have a message: it has none/],
  [
    "a.jsonl",
    '{"prompt":[{"role":"bot","content":""}]}',
    /as its role must be system, user or assistant: "bot"/,
  ],
  ["a.jsonl", '{"prompt":[{"role":"user","content":1}]}', /as its content must be text: 1/],
  [
    "a.jsonl",
    '{"prompt":[{"role":"assistant","content":"x"}]}',
    /last message must be the user's or the system's: assistant/,
  ],
  [
    "a.jsonl",
    '{"prompt":"a","id":{}}',
    /^Cannot read a.jsonl:1 as its id must be text or a number: \{\}/,
  ],
  [
    "a.jsonl",
    '{"prompt":"a","id":1}\n{"prompt":"b","id":1}',
    /^Cannot read a.jsonl:2 as ids must be unique: 1 is also at a.jsonl:1/,
  ],
  ["a.jsonl", "", /^Cannot read a.jsonl as it must hold at least one prompt/],
  ["a.txt", Uint8Array.of(65, 10, 255, 254), /^Cannot read a.txt as it must be UTF-8 text/],
  ["a.json", "{}", /^Cannot read a.json as it must hold one array of records: \{\}/],
  ["a.json", "[1]", /^Cannot read a.json: item 1 as it must be a JSON object: 1/],
  ["a.csv", 'prompt\n"a', /^Cannot read a.csv as it must be CSV with a header/],
  ["a.csv", "prompt,id\na\n", /^Cannot read a.csv as it must be CSV with a header/],
  ["a.csv", "text\na\n", /^Cannot read a.csv:2 as it must have a prompt: it has text/],
  ["a.parquet", "PAR1 not really PAR1", /^Cannot read a.parquet as it must be a Parquet file/],
  ["a.parquet", "", /^Cannot read a.parquet as it must be a Parquet file/],
  ["a.parquet", parquet({ text: ["a"] }), /^Cannot read a.parquet as it must have a column prompt/],
  ["a.parquet", parquet({ prompt: ["a", ""] }), /^Cannot use the prompt at a.parquet: row 2 as/],
  ["a.xlsx", "", /^Cannot read a.xlsx as its name must end in .jsonl, .*: .xlsx/],
];

for (const [name, content, message] of wrong) {
  Deno.test(`readPrompts() refuses ${name}: ${message.source.slice(0, 60)}`, async () => {
    await assert.rejects(promptsIn(name, content), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  });
}

Deno.test("readPrompts() names a file that is missing or a folder", async () => {
  await inTempFolder(async (folder) => {
    await assert.rejects(readPrompts(`${folder}/none.jsonl`), { message: /as it must exist/ });
    await Deno.mkdir(`${folder}/a.txt`);
    await assert.rejects(readPrompts(`${folder}/a.txt`), { message: /as it must be a file/ });
  });
});

const seeds: readonly [string, Uint8Array][] = [
  ["f.jsonl", new TextEncoder().encode('{"prompt":"a","id":1}\n{"prompt":[{"role":"user"}]}\n')],
  ["f.json", new TextEncoder().encode('[{"prompt":"a"},"b"]')],
  ["f.csv", new TextEncoder().encode('prompt,id\n"a, ""b""",1\nc,2\n')],
  ["f.txt", new TextEncoder().encode("a\r\nb\n")],
  ["f.parquet", parquet({ prompt: ["a", "b"], id: [1, 2] })],
];

for (const [name, seed] of seeds) {
  Deno.test(`readTable() gives records or one clear error for any changed ${name}`, async () => {
    await inTempFolder(async (folder) => {
      const path = `${folder}/${name}`;
      const change = fc.tuple(fc.nat(seed.length), fc.nat(3), fc.uint8Array({ maxLength: 4 }));
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
          let bytes = [...seed];
          for (const [at, removed, added] of changes) {
            bytes = [...bytes.slice(0, at), ...added, ...bytes.slice(at + removed)];
          }
          await Deno.writeFile(path, Uint8Array.from(bytes));
          try {
            let records = 0;
            for await (const _ of readTable(path)) {
              assert.ok(++records <= 1000, "more records than bytes");
            }
          } catch (error) {
            assert.match((error as Error).message, /^Cannot read /);
          }
        }),
        { numRuns: 1000, seed: 3 },
      );
    });
  });
}

const eight = Array.from({ length: 8 }, (_, index) => ({ id: `${index}`, content: `p${index}` }));

Deno.test("divide() keeps apart as many as asked, the same for the same seed", async () => {
  const options = { column: "prompt", seed: 1 };
  const { prompts, heldOut } = await divide(eight, "3", options);
  assert.deepEqual([prompts.length, heldOut.length], [5, 3]);
  assert.deepEqual(await divide(eight, "3", options), { prompts, heldOut });
  assert.deepEqual([...prompts, ...heldOut].map(({ id }) => id).sort(), eight.map(({ id }) => id));
  assert.equal((await divide(eight, "0.25", options)).heldOut.length, 2);
  await assert.rejects(divide(eight, "8", options), {
    message: /between 1 and 7 of the 8 prompts/,
  });
});

Deno.test("divide() keeps prompts of one content on one side", async () => {
  const content = (index: number) => `p${index % 5}`;
  const ten = Array.from({ length: 10 }, (_, id) => ({ id: `${id}`, content: content(id) }));
  for (let seed = 0; seed < 20; seed++) {
    const { prompts, heldOut } = await divide(ten, "4", { column: "prompt", seed });
    assert.equal(heldOut.length, 4);
    const trained = new Set(prompts.map(({ content }) => content));
    assert.ok(heldOut.every(({ content }) => !trained.has(content)));
  }
  await assert.rejects(divide(ten, "3", { column: "prompt", seed: 0 }), {
    message: /^Cannot keep 3 of 10 prompts apart .*: 2 could be/,
  });
});

Deno.test("divide() reads a file, keeps ids apart and refuses prompts that are trained on", async () => {
  await inTempFolder(async (folder) => {
    const options = { column: "prompt", seed: 1 };
    await Deno.writeTextFile(`${folder}/h.jsonl`, '{"id":"1","prompt":"other"}');
    const { heldOut } = await divide(eight, `${folder}/h.jsonl`, options);
    assert.deepEqual(heldOut, [{ id: "held-out:1", content: "other" }]);
    await Deno.writeTextFile(`${folder}/h.jsonl`, '{"id":"9","prompt":"p3"}');
    await assert.rejects(divide(eight, `${folder}/h.jsonl`, options), {
      message: /must not be trained on: 9 is/,
    });
  });
});
