"""Reference numbers of SmolLM2-135M-Instruct: transformers on the dequantised weights of its GGUF file.

Makes, from models/smollm2-135m-instruct and data/ of the shared folder (`SPPO_SHARED`, else
`../shared` beside the repository):
  data/smollm2.json          token log-probabilities of 20 chat pairs; the first 64 greedy tokens of 20 prompts
  data/smollm2_tokens.json   lengths and hashes of the token ids of every answer in pairwise/gpt4_vicuna_8x8.jsonl

Command:  python tests/parity/smollm2.py [--threads 2]

Conventions. Weights are Q4_1 (and other types) dequantised to float32 by the `gguf` package; all
arithmetic is float32. Token ids come from the folder's tokenizer.json through `tokenizers`
(transformers' own conversion of the GGUF misses the rule that digits are single tokens). The
prompt is chat_template.jinja rendered by transformers with the generation prompt, and is tokenised
without added special tokens. The response is tokenised on its own, then <|im_end|> is appended
and scored. Greedy decoding ends after 64 tokens or with <|im_end|>; `margins` are the top logit
minus the second at each step, and `near_ties` lists the steps with a margin below 1e-4, where
another order of summation may pick the other token. `noise` says how far transformers itself
moves: log-probabilities between its eager and its fused attention, margins between cached decoding
and one pass over the sequence.

Hashes: the first 16 hex digits of the SHA-256 of the ids as little-endian 32-bit integers.
"""

import argparse
import hashlib
import json
import struct

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM
from transformers.utils.chat_template_utils import render_jinja_template

from reference import DATA, SHARED, SMOLLM2, SMOLLM2_GGUF, greedy, load_gguf_llama, rounded, token_log_probs, versions, write_json

PAIRS = 20
PROMPTS = 20
MAX_TOKENS = 300  # of prompt and response together
NEW_TOKENS = 64
NEAR_TIE = 1e-4
MADE_BY = "tests/parity/smollm2.py"


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def check_against_transformers(model):
    """Our mapping of the GGUF's tensors gives the weights that transformers' own loader gives."""
    other = LlamaForCausalLM.from_pretrained(SMOLLM2, gguf_file=SMOLLM2_GGUF.name, dtype=torch.float32)
    for key in ("rms_norm_eps", "num_attention_heads", "num_key_value_heads", "head_dim", "rope_parameters", "tie_word_embeddings"):
        if getattr(model.config, key) != getattr(other.config, key):
            raise ValueError(f"Cannot trust the mapping as {key} is {getattr(model.config, key)} here and {getattr(other.config, key)} there")
    ours, theirs = model.state_dict(), other.state_dict()
    if set(ours) != set(theirs):
        raise ValueError(f"Cannot trust the mapping as the names differ: {sorted(set(ours) ^ set(theirs))[:5]}")
    unequal = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if unequal:
        raise ValueError(f"Cannot trust the mapping as the weights differ: {unequal[:5]}")
    print(f"{len(ours)} tensors equal those of transformers' own GGUF loader")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)

    tokenizer = Tokenizer.from_file(str(SMOLLM2 / "tokenizer.json"))
    template = (SMOLLM2 / "chat_template.jinja").read_text()
    end_of_turn = tokenizer.token_to_id("<|im_end|>")

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    def chat(prompt):
        texts, _ = render_jinja_template([[{"role": "user", "content": prompt}]], chat_template=template, add_generation_prompt=True)
        return texts[0]

    vicuna = read_jsonl(SHARED / "data" / "pairwise" / "gpt4_vicuna_8x8.jsonl")
    write_json(DATA / "smollm2_tokens.json", {
        "made_by": MADE_BY,
        "versions": versions("tokenizers"),
        "answers": [
            {
                "question_id": row["question_id"],
                "lengths": [len(encode(text)) for text in row["responses"]],
                "hashes": [hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()[:16] for ids in map(encode, row["responses"])],
            }
            for row in vicuna
        ],
    })

    model = load_gguf_llama(SMOLLM2_GGUF)
    check_against_transformers(model)
    eager = load_gguf_llama(SMOLLM2_GGUF)
    eager.set_attn_implementation("eager")

    pairs, noise = [], 0.0
    for index, row in enumerate(vicuna):
        prompt_ids = encode(chat(row["prompt"]))
        for turn in range(8):  # another model's answer first for each question
            which = (index + turn) % 8
            response_ids = [*encode(row["responses"][which]), end_of_turn]
            if 20 <= len(response_ids) <= MAX_TOKENS - len(prompt_ids):
                break
        else:
            continue
        with torch.no_grad():
            log_probs = token_log_probs(model, prompt_ids, response_ids)
            noise = max(noise, (log_probs - token_log_probs(eager, prompt_ids, response_ids)).abs().max().item())
        pairs.append({
            "question_id": row["question_id"], "response_index": which,
            "prompt_token_ids": prompt_ids, "token_ids": response_ids,
            "log_prob": rounded(log_probs.double().sum()), "token_log_probs": rounded(log_probs),
        })
        if len(pairs) == PAIRS:
            break

    prompts, margin_noise = [], 0.0
    questions = read_jsonl(SHARED / "data" / "eval" / "mt_bench_question.jsonl")
    encoded = [(row, encode(chat(row["turns"][0]))) for row in questions]
    fitting = [(row, ids) for row, ids in encoded if len(ids) + NEW_TOKENS <= MAX_TOKENS]
    for row, prompt_ids in fitting[:: len(fitting) // PROMPTS][:PROMPTS]:
        ids, margins = greedy(model, prompt_ids, NEW_TOKENS, end_of_turn)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt_ids, *ids[:-1]]]), use_cache=False).logits[0, len(prompt_ids) - 1 :]
        top = logits.topk(2).values
        margin_noise = max(margin_noise, (top[:, 0] - top[:, 1] - torch.tensor(margins)).abs().max().item())
        prompts.append({
            "question_id": row["question_id"], "prompt": row["turns"][0], "rendered": chat(row["turns"][0]),
            "prompt_token_ids": prompt_ids, "token_ids": ids, "text": tokenizer.decode(ids),
            "finish_reason": "stop" if ids[-1] == end_of_turn else "length",
            "margins": rounded(margins, 5), "near_ties": [i for i, m in enumerate(margins) if m < NEAR_TIE],
        })

    write_json(DATA / "smollm2.json", {
        "made_by": MADE_BY,
        "versions": versions("torch", "transformers", "gguf", "tokenizers"),
        "end_of_turn_id": end_of_turn,
        "noise": rounded({"token_log_probs": noise, "margins": margin_noise}, 2),
        "pairs": pairs,
        "greedy": prompts,
    })
    smallest = sorted(m for row in prompts for m in row["margins"])[:5]
    print("noise", noise, margin_noise, "| smallest margins", smallest)
    for row in prompts[:3]:
        print(repr(row["text"][:200]))


if __name__ == "__main__":
    main()
