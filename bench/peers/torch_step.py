"""Times one training step in PyTorch, of a peft adapter or of all weights: forward, SPPO loss, gradients, AdamW.

By default 4 rows of 256 tokens (2 pairs, 64 tokens of prompt and 192 of response a row), rank 16,
alpha 32, all seven linear layers, float32, 2 threads, the weights of SmolLM2-135M-Instruct
(models/ of the shared folder, `SPPO_SHARED` or `../shared` beside the repository); with --random,
random weights of the same shape.

Command:  python bench/peers/torch_step.py                       the line protocol of protocol.py: `run` is a step
          python bench/peers/torch_step.py --steps 5 [--warmup 2]   one summary: {"median_s", "runs", "loss", …}

Options:
  --ids FILE       {"eta", "groups": [{"prompt_ids", "responses": [{"ids", "win_rate", "previous_log_prob"?}, …]}]},
                   two responses a group, the winner first; the form of tests/parity/data/tiny_llama_lora.json.
                   Without it, fixed random ids. `previous_log_prob` missing: computed before the first
                   step by the starting model, not timed.
  --write-ids FILE stores the ids in use in that form, with their previous_log_prob, and goes on
  --model PATH     a Hugging Face folder or a Llama GGUF file
  --fit lora|all   what is trained: an adapter (default), or all weights
  --adapter DIR    the PEFT adapter to start from (else A by peft's default, B zero)
  --save-adapter DIR  stores the starting adapter there, so that ours can start from the same
  --logits all|response   the vocabulary projection at every position, as the trainers of the paper
                   and of TRL do it (default), or at the response positions only (a stronger baseline)
  --lr, --threads, --steps, --warmup

A step's loss is that before its update: mean over pairs of ((r_w − η(P_w − ½))² + (r_l − η(P_l − ½))²)/2.
No dropout, no checkpointing, denormals flushed to zero, fused AdamW (weight decay 0.01): the fast way of each.
"""

import argparse
import json
import random
import time
from pathlib import Path

from protocol import peak_rss_mib, repeat, serve

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM

from reference import SMOLLM2_GGUF, load_gguf_llama, load_model, rounded, versions

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def random_groups(pairs=2, prompt=64, response=192, vocabulary=49152):
    rng = random.Random(20240500675)

    def ids(count):
        return [rng.randrange(20, vocabulary) for _ in range(count)]

    return {
        "eta": 2.0,
        "groups": [
            {"prompt_ids": ids(prompt), "responses": [{"ids": ids(response), "win_rate": 0.8}, {"ids": ids(response), "win_rate": 0.3}]}
            for _ in range(pairs)
        ],
    }


class Batch:
    """Rows of prompt and response, padded at the right to the longest; winners and losers alternate."""

    def __init__(self, groups):
        rows = [(g["prompt_ids"], r["ids"]) for g in groups for r in g["responses"]]
        width = max(len(p) + len(r) for p, r in rows)
        self.ids = torch.zeros(len(rows), width, dtype=torch.long)
        self.attention = torch.zeros(len(rows), width, dtype=torch.long)
        self.response = torch.zeros(len(rows), width - 1)  # 1 where the next token is a response token
        for i, (prompt, response) in enumerate(rows):
            end = len(prompt) + len(response)
            self.ids[i, :end] = torch.tensor([*prompt, *response])
            self.attention[i, :end] = 1
            self.response[i, len(prompt) - 1 : end - 1] = 1
        self.padded = bool((self.attention == 0).any())
        self.keep = width - min(len(p) for p, _ in rows) + 1  # the positions from the last of the shortest prompt on


def response_log_probs(model, batch, logits):
    """Sum of log-probabilities of each row's response: a tensor [rows]."""
    keep = batch.keep if logits == "response" else batch.ids.shape[1]
    out = model(
        input_ids=batch.ids, attention_mask=batch.attention if batch.padded else None,
        use_cache=False, logits_to_keep=keep,
    ).logits[:, :-1]
    targets = batch.ids[:, -keep:][:, 1:]
    chosen = out.gather(-1, targets[..., None])[..., 0] - out.logsumexp(-1)
    return (chosen * batch.response[:, -targets.shape[1] :]).sum(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help="without it, the line protocol")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--write-ids", type=Path)
    parser.add_argument("--model", type=Path, default=SMOLLM2_GGUF)
    parser.add_argument("--random", action="store_true", help="random weights of the model's shape")
    parser.add_argument("--fit", choices=["lora", "all"], default="lora")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--save-adapter", type=Path)
    parser.add_argument("--logits", choices=["all", "response"], default="all")
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)

    data = json.loads(options.ids.read_text()) if options.ids else random_groups()
    batch = Batch(data["groups"])
    base = load_model(options.model)
    if options.random:
        base = LlamaForCausalLM(base.config).float()
    if options.fit == "all":
        model = base
    elif options.adapter:
        model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True)
    else:
        model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEAR, task_type="CAUSAL_LM"))
    if options.save_adapter and options.fit == "lora":
        model.save_pretrained(options.save_adapter)
    model.train()
    responses = [r for g in data["groups"] for r in g["responses"]]
    if any("previous_log_prob" not in r for r in responses):
        with torch.no_grad():
            for response, log_prob in zip(responses, response_log_probs(model, batch, options.logits).tolist()):
                response.setdefault("previous_log_prob", rounded(log_prob, 9))
    if options.write_ids:
        options.write_ids.write_text(json.dumps(data) + "\n")
    previous = torch.tensor([r["previous_log_prob"] for r in responses])
    targets = data["eta"] * (torch.tensor([r["win_rate"] for r in responses]) - 0.5)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=options.lr, weight_decay=0.01, fused=True)

    def step():
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = ((response_log_probs(model, batch, options.logits) - previous - targets) ** 2).mean()
        loss.backward()
        optimizer.step()
        loss = loss.item()
        return {"seconds": round(time.perf_counter() - start, 4), "loss": rounded(loss), "peak_rss_mib": peak_rss_mib()}

    ready = {
        "versions": versions("torch", "transformers", "peft"),
        "rows": list(batch.ids.shape), "fit": options.fit, "logits": options.logits, "threads": options.threads, "random_weights": options.random,
    }
    if options.steps is None:
        serve(step, ready)
    else:
        repeat(step, options.steps, options.warmup, ready)


if __name__ == "__main__":
    main()
