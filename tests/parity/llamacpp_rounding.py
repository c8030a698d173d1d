"""How far llama.cpp's 8-bit activations move the next token, over the stored answers of SmolLM2-135M.

Command:  python tests/parity/llamacpp_rounding.py F32.gguf Q8_0.gguf [--tokens 24]

Both files must hold the same weights: `sppo export --dtype q8_0`, and of that file `--dtype f32`. Reads
the prompts and answers of data/smollm2.json with both and prints KL(f32 || q8_0) of the next token over
the answers' first tokens, as bench/precision_divergence.ts does for `--precision fast`. Needs
llama-cpp-python beside requirements.txt.
"""

import argparse
import json

import llama_cpp
import numpy as np

from reference import DATA


def log_probs(path, pairs, tokens):
    """Log-probabilities of all next tokens at each place of the answers: a [tokens, vocabulary] each."""
    model = llama_cpp.Llama(path, n_ctx=512, n_threads=2, n_batch=512, logits_all=True, verbose=False)
    for pair in pairs:
        prompt, answer = pair["prompt_token_ids"], pair["token_ids"][:tokens]
        model.reset()
        model.eval(prompt + answer)
        logits = np.array(model.scores[len(prompt) - 1 : len(prompt) + len(answer) - 1]).astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        yield logits - np.log(np.exp(logits).sum(-1, keepdims=True)), answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("f32")
    parser.add_argument("q8_0")
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    pairs = json.loads((DATA / "smollm2.json").read_text())["pairs"]
    divergences, moves, same = [], [], []
    for (p, answer), (q, _) in zip(log_probs(options.f32, pairs, options.tokens), log_probs(options.q8_0, pairs, options.tokens)):
        taken = np.arange(len(answer)), answer
        divergences.extend((np.exp(p) * (p - q)).sum(-1))
        moves.extend(np.abs(p[taken] - q[taken]))
        same.extend(p.argmax(-1) == q.argmax(-1))
    print(f"tokens {len(divergences)}, of {len(pairs)} answers")
    print(f"KL(f32 || q8_0) per token, nats: mean {np.mean(divergences):.2e}, 99 % below {np.quantile(divergences, 0.99):.2e}, most {np.max(divergences):.2e}")
    print(f"|difference of the log-probability of the next token|: mean {np.mean(moves):.4f}, most {np.max(moves):.4f}")
    print(f"same likeliest token: {100 * np.mean(same):.1f} %")


main()
