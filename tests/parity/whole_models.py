"""Reference numbers of training whole models, for the suite that every backend runs: PyTorch.

Reads the checkpoints of architectures.py and tiny_judges.py and makes data/whole_models.json:
  gpt2     losses and gradient norms of three AdamW steps of the adapter of data/architectures/gpt2,
           on the mean of −log p over all response tokens
  deberta  of data/tiny_reward_deberta, on the mean over PAIRS of −log σ(reward of the first − of the
           second): gradients of all weights (norm, and SAMPLES of their elements, evenly spaced), then
           losses and gradient norms of three AdamW steps of all weights

Command:  python tests/parity/whole_models.py

Every text is a row of its own, without padding; float32, no dropout, no clipping, no weight decay.
"""

import json

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, DebertaV2ForSequenceClassification

from reference import DATA, rounded, token_log_probs, versions, write_json

STEPS = 3
GPT2_RATE = 1e-2
DEBERTA_RATE = 1e-3
# of the texts in tiny_judges.json, the better one first
PAIRS = [[0, 1], [3, 2], [1, 3]]
SAMPLES = 6


def norm(parameters):
    return torch.stack([p.grad.square().sum() for p in parameters if p.grad is not None]).sum().sqrt()


def steps(model, rate, loss_of):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    taken = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        taken.append({"loss": rounded(loss), "grad_norm": rounded(norm(parameters))})
        optimizer.step()
    return {"lr": rate, "steps": taken}


def gpt2():
    folder = DATA / "architectures"
    groups = json.loads((folder / "architectures.json").read_text())["groups"]
    base = AutoModelForCausalLM.from_pretrained(folder / "gpt2", dtype=torch.float32, attn_implementation="eager")
    model = PeftModel.from_pretrained(base, folder / "gpt2" / "adapter", is_trainable=True).eval()

    def loss_of(model):
        log_probs = [token_log_probs(model, g["prompt_ids"], ids) for g in groups for ids in g["responses"]]
        return -torch.cat(log_probs).mean()

    return steps(model, GPT2_RATE, loss_of)


def deberta():
    rows = [one["ids"] for one in json.loads((DATA / "tiny_judges.json").read_text())["rewards"]["tiny_reward_deberta"]]
    model = DebertaV2ForSequenceClassification.from_pretrained(
        DATA / "tiny_reward_deberta", dtype=torch.float32).eval()

    def loss_of(model):
        rewards = [model(input_ids=torch.tensor([ids])).logits[0, 0] for ids in rows]
        margins = torch.stack([rewards[better] - rewards[worse] for better, worse in PAIRS])
        return torch.nn.functional.softplus(-margins).mean()

    loss_of(model).backward()
    gradients = {}
    for key, weight in model.named_parameters():
        if weight.grad is None:
            continue
        flat = weight.grad.flatten()
        gradients[key.removeprefix("deberta.")] = {
            "norm": rounded(flat.norm()), "largest": rounded(flat.abs().max()),
            "values": rounded(flat[:: max(1, len(flat) // SAMPLES)])}
    return {"pairs": PAIRS, "gradients": gradients, **steps(model, DEBERTA_RATE, loss_of)}


def main():
    torch.set_num_threads(1)
    write_json(DATA / "whole_models.json", {
        "made_by": "tests/parity/whole_models.py",
        "versions": versions("torch", "transformers", "peft"),
        "gpt2": gpt2(),
        "deberta": deberta(),
    })


if __name__ == "__main__":
    main()
