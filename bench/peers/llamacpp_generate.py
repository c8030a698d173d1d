"""Times llama.cpp itself: new tokens for a batch of prompts, one `llama_decode` a step.

Uses llama.cpp through the C API that llama-cpp-python binds (`pip install --no-binary :all:
llama-cpp-python` builds it for this machine): all prompts in one batch each of at most 512 tokens,
then one token of every sequence a step, all in one context with as many sequences.

Command:  python bench/peers/llamacpp_generate.py --model FILE.gguf --prompts FILE [--tokens 128] [--threads 2] [--slots 64]

Speaks the line protocol of protocol.py: `run 5 sample` takes the first 5 prompts and draws each token
with llama.cpp's own samplers (top-p 0.9, temperature 0.7), as many as sequences, each with its seed;
`run 5 given` feeds tokens that are given in advance and reads no logits, so that nothing but the model
is measured. A third word is a number of new tokens in place of --tokens. Prompts are repeated when there
are too few. Answers {"seconds", "new_tokens",
"prompt_tokens", "fastest_step_seconds", "peak_rss_mib"}; the fastest step tells of a busy machine what
an idle one would need.
"""

import argparse
import json
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from protocol import peak_rss_mib, serve

import llama_cpp as llama

PREFILL = 512


def package_version():
    try:
        return version("llama_cpp_python")
    except PackageNotFoundError:
        return llama.__version__


class Engine:
    def __init__(self, path, threads, slots, capacity):
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise ValueError(f"Cannot load {path} as llama.cpp must read it")
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        options = llama.llama_context_default_params()
        options.n_ctx = slots * capacity
        options.n_batch = PREFILL
        options.n_ubatch = PREFILL
        options.n_seq_max = slots
        options.n_threads = threads
        options.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, options)
        self.batch = llama.llama_batch_init(PREFILL, 0, 1)
        self.samplers = []
        for seed in range(slots):
            chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
            llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_top_p(0.9, 1))
            llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_temp(0.7))
            llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_dist(seed))
            self.samplers.append(chain)

    def decode(self, tokens):
        """`tokens`: (token, position, sequence, whether logits are wanted)."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for index, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = wanted
        code = llama.llama_decode(self.context, batch)
        if code != 0:
            raise RuntimeError(f"Cannot decode as llama_decode must return 0: {code}")
        llama.llama_synchronize(self.context)

    def generate(self, rows, tokens, sample):
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        last = [0] * len(rows)
        pending, wanted = [], []

        def flush():
            self.decode(pending)
            for index, sequence in wanted:
                last[sequence] = self.choose(index, sequence, 0, sample)
            pending.clear()
            wanted.clear()

        for sequence, row in enumerate(rows):
            if pending and len(pending) + len(row) > PREFILL:
                flush()
            for position, token in enumerate(row):
                end = position == len(row) - 1
                if end:
                    wanted.append((len(pending), sequence))
                pending.append((token, position, sequence, end))
        flush()
        fastest = float("inf")
        for step in range(1, tokens):
            started = time.perf_counter()
            self.decode([(last[s], len(row) + step - 1, s, True) for s, row in enumerate(rows)])
            last = [self.choose(s, s, step, sample) for s in range(len(rows))]
            fastest = min(fastest, time.perf_counter() - started)
        return fastest

    def choose(self, index, sequence, step, sample):
        if not sample:
            return (1000 + 7919 * step + 104729 * sequence) % self.vocabulary
        return llama.llama_sampler_sample(self.samplers[sequence], self.context, index)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slots", type=int, default=64)
    options = parser.parse_args()
    prompts = json.loads(options.prompts.read_text())
    longest = max(map(len, prompts)) + options.tokens
    engine = Engine(options.model, options.threads, options.slots, longest)

    def run(size="1", how="sample", tokens=options.tokens):
        size, tokens = int(size), int(tokens)
        if not 1 <= tokens <= options.tokens:
            raise ValueError(f"Cannot generate {tokens} tokens as there is room for {options.tokens}")
        if not 1 <= size <= options.slots:
            raise ValueError(f"Cannot generate for {size} prompts as there are {options.slots} slots")
        if how not in ("sample", "given"):
            raise ValueError(f"Cannot generate as tokens must be `sample`d or `given`: {how}")
        rows = [prompts[index % len(prompts)] for index in range(size)]
        start = time.perf_counter()
        fastest = engine.generate(rows, tokens, how == "sample")
        seconds = time.perf_counter() - start
        return {
            "seconds": round(seconds, 4), "fastest_step_seconds": round(fastest, 5), "new_tokens": size * tokens,
            "prompt_tokens": sum(map(len, rows)), "peak_rss_mib": peak_rss_mib(),
        }

    serve(run, {"versions": {"llama-cpp-python": package_version()}})


if __name__ == "__main__":
    main()
