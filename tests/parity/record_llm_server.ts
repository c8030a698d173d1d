/**
 * Records what a real OpenAI-compatible server answers the questions of tests/judges/_server_session.ts
 * in data/llm_server.json: the exchanges, and the session that came of them. The test replays it.
 *
 *     pip install "llama-cpp-python[server]"
 *     python -m llama_cpp.server --model SmolLM2-135M-Instruct.Q4_1.gguf --model_alias smollm2 \
 *       --n_ctx 2048 --logits_all true --port 8091
 *     deno run --allow-net=127.0.0.1 --allow-write=tests --allow-env --allow-read \
 *       tests/parity/record_llm_server.ts http://127.0.0.1:8091 smollm2 "llama-cpp-python 0.3.36, SmolLM2-135M-Instruct Q4_1"
 *
 * @module
 */

import { failingProxy } from "../judges/_proxy.ts";
import { serverSession } from "../judges/_server_session.ts";

const [target, model, server] = Deno.args;
if (target === undefined || model === undefined || server === undefined) {
  throw new TypeError("Cannot record as there must be a URL, a model and what the server is");
}
await using proxy = failingProxy(target);
const session = await serverSession(`http://127.0.0.1:${proxy.port}/v1`, model);
const lines = [
  `{"server": ${JSON.stringify(server)}, "model": ${JSON.stringify(model)}, "exchanges": [`,
  proxy.exchanges.map((exchange) => JSON.stringify(exchange)).join(",\n"),
  `], "session": ${JSON.stringify(session)}}\n`,
];
await Deno.writeTextFile(new URL("data/llm_server.json", import.meta.url), lines.join("\n"));
