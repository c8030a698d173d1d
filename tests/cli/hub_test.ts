import { strict as assert } from "node:assert";
import { findCached } from "../../cli/hub/cache.ts";
import { download, type DownloadOptions } from "../../cli/hub/download.ts";
import { parseHubName } from "../../cli/hub/name.ts";
import { neededFiles } from "../../cli/hub/selection.ts";
import { hubAccess, hubCache } from "../../cli/hub/settings.ts";
import { type FakeHub, type FakeRepository, gitHash, serveHub, sha256 } from "./_hub.ts";
import { inTempFolder, sppo } from "./_run.ts";
import { tinyModelFiles } from "./_tiny_model.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const NAME = { repository: "tiny/chat" };
const WEIGHTS = "model.safetensors";

function repository(): FakeRepository {
  const text = (value: string) => new TextEncoder().encode(value);
  return {
    commit: COMMIT,
    files: {
      ...tinyModelFiles(),
      "README.md": text("# Tiny"),
      "pytorch_model.bin": text("not needed"),
      "onnx/model.onnx": text("not needed"),
    },
    large: [WEIGHTS],
  };
}

const noProgress = { update() {}, finish() {}, line() {} };

interface Setting {
  readonly hub: FakeHub;
  readonly content: FakeRepository;
  readonly cache: string;
  readonly options: DownloadOptions;
}

async function withHub(work: (setting: Setting) => Promise<void>): Promise<void> {
  await inTempFolder(async (folder) => {
    const content = repository();
    await using hub = serveHub(NAME.repository, content);
    const cache = `${folder}/hub`;
    await work({
      hub,
      content,
      cache,
      options: {
        cache,
        access: { endpoint: hub.url, token: undefined },
        progress: noProgress,
        signal: new AbortController().signal,
        pauseMs: 0,
      },
    });
  });
}

Deno.test("parseHubName() reads owner, name, revision and file, and leaves paths alone", () => {
  const repository = "o/n.1-b";
  assert.deepEqual(parseHubName("o/n.1-b"), { repository });
  assert.deepEqual(parseHubName("o/n.1-b@v1.0"), { repository, revision: "v1.0" });
  assert.deepEqual(parseHubName("o/n.1-b@refs/pr/7/q/m.gguf"), {
    repository,
    revision: "refs/pr/7",
    file: "q/m.gguf",
  });
  assert.deepEqual(parseHubName("o/n.1-b/m.gguf"), { repository, file: "m.gguf" });
  const paths = [
    "n",
    "./o/n",
    "o/n/",
    "/o/n",
    "o/n/x",
    "o/../n/m.gguf",
    "o/n/../m.gguf",
    "o/..",
    "runs/m.gguf",
    "o/n@../x",
    "a\\b",
  ];
  for (const path of paths) assert.equal(parseHubName(path), undefined, path);
});

Deno.test("neededFiles() takes what a model needs and refuses to guess", () => {
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const index = "model.safetensors.index.json";
  const others = ["README.md", "consolidated.safetensors", "tokenizer.model", "tokenizer.json"];
  assert.deepEqual(neededFiles(NAME, ["config.json", ...others, index, ...shards]), [
    "config.json",
    "tokenizer.json",
    ...shards,
    index,
  ]);
  assert.deepEqual(neededFiles(NAME, ["README.md", "a.gguf"]), ["a.gguf"]);
  assert.deepEqual(neededFiles({ ...NAME, file: "b.gguf" }, ["a.gguf", "b.gguf", "config.json"]), [
    "b.gguf",
  ]);
  assert.throws(
    () => neededFiles(NAME, ["a.gguf", "b.gguf"]),
    /^Error: Cannot use tiny\/chat as one of its files must be named, tiny\/chat\/FILE.gguf: a.gguf, b.gguf$/,
  );
  assert.throws(
    () => neededFiles({ ...NAME, file: "c.gguf" }, ["a.gguf"]),
    /^Error: Cannot use tiny\/chat as it must have the file c.gguf: it has a.gguf$/,
  );
  assert.throws(
    () => neededFiles(NAME, ["config.json", "pytorch_model.bin"]),
    /it must have model.safetensors or model.safetensors.index.json/,
  );
});

Deno.test("hubCache() and hubAccess() follow the variables of the other tools", async () => {
  const of = (values: Record<string, string>) => (name: string) => values[name];
  const HOME = "/home/ada";
  assert.equal(hubCache(of({ HOME })), `${HOME}/.cache/huggingface/hub`);
  assert.equal(hubCache(of({ HOME, XDG_CACHE_HOME: "/x" })), "/x/huggingface/hub");
  assert.equal(hubCache(of({ HOME, HF_HOME: "/hf" })), "/hf/hub");
  assert.equal(hubCache(of({ HOME, HF_HOME: "/hf", HF_HUB_CACHE: "/c" })), "/c");
  await inTempFolder(async (folder) => {
    const HF_HOME = folder;
    const endpoint = "https://huggingface.co";
    assert.deepEqual(await hubAccess(of({ HF_HOME })), { endpoint, token: undefined });
    await Deno.writeTextFile(`${folder}/token`, "hf_file\n");
    assert.deepEqual(await hubAccess(of({ HF_HOME })), { endpoint, token: "hf_file" });
    const given = { HF_HOME, HF_TOKEN: "hf_given", HF_ENDPOINT: "http://localhost:1/" };
    assert.deepEqual(await hubAccess(of(given)), {
      endpoint: "http://localhost:1",
      token: "hf_given",
    });
    await assert.rejects(
      hubAccess(of({ HF_HOME, HF_ENDPOINT: "hub" })),
      /^TypeError: Cannot reach the hub as HF_ENDPOINT must be a URL of http or https: hub$/,
    );
  });
});

Deno.test("download() brings what is needed into the shared layout, once", async () => {
  await withHub(async ({ hub, content, cache, options }) => {
    const updates: number[] = [];
    const progress = { ...noProgress, update: (_: string, done: number) => updates.push(done) };
    const paths = await download(NAME, { ...options, progress });
    const folder = `${cache}/models--tiny--chat`;
    const { files } = content;
    const names = ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"];
    assert.deepEqual(
      paths.toSorted(),
      names.map((name) => `${folder}/snapshots/${COMMIT}/${name}`),
    );
    for (const name of names) {
      const etag = name === WEIGHTS ? sha256(files[name]!) : gitHash(files[name]!);
      const place = `${folder}/snapshots/${COMMIT}/${name}`;
      assert.equal(await Deno.readLink(place), `../../blobs/${etag}`);
      assert.deepEqual(await Deno.readFile(place), files[name]);
    }
    assert.equal(await Deno.readTextFile(`${folder}/refs/main`), COMMIT);
    assert.equal(updates.at(-1), names.reduce((sum, name) => sum + files[name]!.length, 0));
    assert.deepEqual(await findCached(cache, NAME), paths);

    hub.requests.length = 0;
    assert.deepEqual(await download(NAME, options), paths);
    assert.deepEqual(hub.requests, []);
    await Deno.remove(paths[0]!); // the blob is still there
    assert.deepEqual(await download({ ...NAME, revision: COMMIT }, options), paths);
    assert.deepEqual(hub.requests, []);
  });
});

Deno.test("download() goes on after dropped connections, also from an earlier run's part", async () => {
  await withHub(async ({ hub, content, cache, options }) => {
    const bytes = content.files[WEIGHTS]!;
    const blob = `${cache}/models--tiny--chat/blobs/${sha256(bytes)}`;
    await Deno.mkdir(`${cache}/models--tiny--chat/blobs`, { recursive: true });
    await Deno.writeFile(`${blob}.incomplete`, bytes.slice(0, 1000));
    hub.faults.dropAfter = [500, 0, 700];
    await download(NAME, options);
    assert.deepEqual(await Deno.readFile(blob), bytes);
    const last = bytes.length - 1;
    assert.deepEqual(
      hub.requests.filter((request) => request.startsWith(WEIGHTS)),
      [1000, 1500, 1500, 2200].map((start) => `${WEIGHTS} bytes=${start}-${last}`),
    );
  });
});

Deno.test("download() keeps what came before it failed, and never gives a part a name", async () => {
  await withHub(async ({ hub, content, cache, options }) => {
    const blob = `${cache}/models--tiny--chat/blobs/${sha256(content.files[WEIGHTS]!)}`;
    hub.faults.dropAfter = [1234, 0, 0, 0, 0, 0, 0];
    await assert.rejects(
      download(NAME, options),
      /^Error: Cannot download tiny\/chat as http:\/\/127\.0\.0\.1:\d+ must serve it: /,
    );
    assert.equal((await Deno.stat(`${blob}.incomplete`)).size, 1234);
    assert.equal(await findCached(cache, NAME), undefined);
    hub.faults.dropAfter = [];
    await download(NAME, options);
    assert.deepEqual(await Deno.readFile(blob), content.files[WEIGHTS]);
  });
});

Deno.test("download() stops at once when it is aborted, and the next one goes on", async () => {
  await withHub(async ({ hub, content, options }) => {
    const controller = new AbortController();
    const progress = {
      ...noProgress,
      update: (_: string, done: number) => done > 3000 && controller.abort(new Error("enough")),
    };
    hub.faults.dropAfter = [2000];
    await assert.rejects(
      download(NAME, { ...options, progress, signal: controller.signal }),
      /^Error: enough$/,
    );
    const paths = await download(NAME, options);
    const weights = paths.find((path) => path.endsWith(WEIGHTS))!;
    assert.deepEqual(await Deno.readFile(weights), content.files[WEIGHTS]);
  });
});

Deno.test("download() refuses other contents than those listed, and servers without ranges", async () => {
  await withHub(async ({ hub, content, cache, options }) => {
    const bytes = content.files[WEIGHTS]!;
    const wrong = bytes.map((byte, i) => i === 77 ? byte ^ 1 : byte);
    hub.faults.replace = { [WEIGHTS]: wrong };
    await assert.rejects(
      download(NAME, options),
      /^Error: Cannot keep [0-9a-f]{64} as its content must have that sha256 hash: [0-9a-f]{64}; try again$/,
    );
    assert.equal(await findCached(cache, NAME), undefined);
    hub.faults.replace = { [WEIGHTS]: bytes.slice(1) };
    await assert.rejects(download(NAME, options), /as it must have the \d+ bytes listed: \d+$/);
    hub.faults.replace = {};
    hub.faults.noRanges = true;
    hub.faults.dropAfter = [900];
    await assert.rejects(
      download(NAME, options),
      /^Error: Cannot go on with a download as the server must send parts: status 200$/,
    );
  });
});

Deno.test("download() sends the token to the hub alone and says what a refusal means", async () => {
  await withHub(async ({ hub, options }) => {
    hub.faults.token = "hf_secret";
    await assert.rejects(
      download(NAME, options),
      /^Error: Cannot download tiny\/chat as the hub must give it to us: Invalid credentials\..* \(if it is private or gated, set HF_TOKEN\)$/,
    );
    const access = { ...options.access, token: "hf_secret" };
    await download(NAME, { ...options, access });
    assert.deepEqual(hub.strayTokens, []);
    await assert.rejects(
      download({ ...NAME, revision: "other" }, { ...options, access }),
      /^Error: Cannot download tiny\/chat as the hub must have it: Entry not found/,
    );
    hub.faults.status = 503;
    await assert.rejects(
      download(NAME, { ...options, access }),
      /^Error: Cannot download tiny\/chat as http.* must serve it: not today/,
    );
  });
});

Deno.test("sppo info downloads hf:owner/name, finds owner/name after that, and says how before", async () => {
  await inTempFolder(async (cwd) => {
    await using hub = serveHub(NAME.repository, repository());
    const env = { HF_HOME: `${cwd}/home`, HF_ENDPOINT: hub.url };
    // Of another backend no time is measured, which would differ from run to run.
    const info = (model: string) =>
      sppo(["info", "--model", model, "--backend", "reference"], { cwd, hub: env });
    const before = await info("tiny/chat");
    assert.equal(before.code, 2);
    assert.match(
      before.stderr,
      /^sppo info: Cannot read the model tiny\/chat as it must be a folder, a file or in the cache .*\/home\/hub: it is not; --model hf:tiny\/chat downloads it \(see deno task sppo:hub\)\n$/,
    );
    const downloaded = await info("hf:tiny/chat");
    assert.equal(downloaded.code, 0, downloaded.stderr);
    assert.match(downloaded.stdout, /^model +tiny\/chat\n/);
    assert.match(downloaded.stderr, /downloading tiny\/chat/);
    const found = await info("tiny/chat");
    assert.equal(found.stdout, downloaded.stdout);
    const wrong = await info("hf:tiny");
    assert.match(wrong.stderr, /must be hf:owner\/name\[@revision\]\[\/file.gguf\]: hf:tiny\n$/);
    const denied = await sppo(["info", "--model", "hf:tiny/chat"], { cwd });
    assert.match(denied.stderr, /^sppo info: Cannot .* as Deno must be allowed to: .*\n$/);
  });
});
