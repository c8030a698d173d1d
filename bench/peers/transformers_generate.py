"""Times transformers' `generate`: 128 new tokens for a batch of chat prompts, prefill and sampling included.

SmolLM2-135M-Instruct (models/ of the shared folder, `SPPO_SHARED` or `../shared` beside the
repository), float32, 2 threads, temperature 0.7, top-p 0.9, exactly 128 new tokens a row
(min_new_tokens = max_new_tokens), prompts padded at the left.

Command:  python bench/peers/transformers_generate.py [--prompts FILE] [--model PATH] [--tokens 128] [--top-k 0] [--threads 2]

Speaks the line protocol of protocol.py: `run 5` generates for the first 5 prompts and answers
{"seconds", "new_tokens", "prompt_tokens", "tokens_per_second", "peak_rss_mib"}; a second number is of new tokens, in place of --tokens. `new_tokens`
counts all rows.

--prompts is a JSON file, a list of lists of token ids or {"prompts": that}; without it, the 20
prompts of the pairs in tests/parity/data/smollm2.json (39 to 55 tokens). top-k 0 is off, as in the
recipe that we compare; transformers' own default would be 50.
"""

import argparse
import json
import time
from pathlib import Path

from protocol import peak_rss_mib, serve

import torch

from reference import DATA, SMOLLM2_GGUF, load_model, versions


def read_prompts(path):
    if path is None:
        return [pair["prompt_token_ids"] for pair in json.loads((DATA / "smollm2.json").read_text())["pairs"]]
    value = json.loads(path.read_text())
    return value["prompts"] if isinstance(value, dict) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--model", type=Path, default=SMOLLM2_GGUF)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)

    prompts = read_prompts(options.prompts)
    model = load_model(options.model)
    pad = model.config.pad_token_id or 0

    def run(size="1", tokens=options.tokens):
        size, tokens = int(size), int(tokens)
        if not 1 <= size <= len(prompts):
            raise ValueError(f"Cannot generate for {size} prompts as there are {len(prompts)}")
        start = time.perf_counter()
        rows = prompts[:size]
        width = max(map(len, rows))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        attention = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids, attention_mask=attention, do_sample=True, temperature=0.7, top_p=0.9, top_k=options.top_k,
                min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=pad,
            )
        seconds = time.perf_counter() - start
        new = size * (out.shape[1] - width)
        return {
            "seconds": round(seconds, 4), "new_tokens": new, "prompt_tokens": sum(map(len, rows)),
            "tokens_per_second": round(new / seconds, 1), "peak_rss_mib": peak_rss_mib(),
        }

    serve(run, {
        "versions": versions("torch", "transformers"), "prompts": len(prompts), "threads": options.threads, "top_k": options.top_k,
    })


if __name__ == "__main__":
    main()
