"""Reference numbers of LoRA training on a tiny random Llama: PyTorch, transformers and peft.

Makes, from nothing but its seed:
  data/tiny_llama/              a Hugging Face folder, tied embeddings, config.json as transformers 5 writes it
  data/tiny_llama_untied/       the same shape with its own lm_head, `rope_theta` at the top level of
                                config.json (as transformers 4 wrote it) and not the default value
  data/tiny_llama_adapter/      a peft LoRA adapter, rank 4, alpha 8, on all seven linear layers, A and B
                                both random; it fits either base
  data/tiny_llama_lora.json     log-probabilities, SPPO loss, gradients of A and B, optimizer runs, greedy tokens
  data/tiny_llama*_nll_gradients.json   gradients of the token-likelihood loss for all weights of each base

Command:  python tests/parity/tiny_llama_lora.py

Conventions of the numbers. Every response is computed as a row of its own, without padding. A
response's log-probability is the sum over its tokens; `previous_log_probs` (log π_t) are stored
sums and equal the base's. With the log-ratio r = log π_θ(y|x) − log π_t(y|x), and the winner first,

    sppo loss = mean over pairs of ( (r_w − η(P_w − ½))² + (r_l − η(P_l − ½))² ) / 2
    nll loss  = −(sum of log-probabilities of all response tokens of all rows) / (their number)

`grad_norm` is the L2 norm over all trained tensors before clipping. A step's `loss` is computed
before its update and `log_probs` after it. Everything is float32; `noise` says how far the same
numbers move when transformers' eager attention replaces PyTorch's fused one, which is how exact
they are at most.
"""

import json
import shutil

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from reference import DATA, greedy, rounded, token_log_probs, versions, write_json

SEED = 20240500675
ETA = 2.0
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS = 10

RUNS = {
    "adamw": {"optimizer": "AdamW", "lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": None},
    "adamw_clipped": {"optimizer": "AdamW", "lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": 1.0},
    "rmsprop": {"optimizer": "RMSprop", "lr": 1e-3, "alpha": 0.99, "eps": 1e-8, "max_grad_norm": None},
    "rmsprop_clipped": {"optimizer": "RMSprop", "lr": 1e-3, "alpha": 0.99, "eps": 1e-8, "max_grad_norm": 1.0},
}

# (prompt length, winner's length, loser's length, P_w, P_l): no two lengths agree inside a group
GROUPS = [(3, 4, 7, 0.8, 0.3), (8, 9, 2, 0.65, 0.35), (5, 6, 5, 0.95, 0.55)]


def make_models(rng):
    shape = dict(
        vocab_size=67, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, rms_norm_eps=1e-5,
        bos_token_id=1, eos_token_id=2,
    )
    for name, tied, theta in (("tiny_llama", True, 10000.0), ("tiny_llama_untied", False, 5000.0)):
        config = LlamaConfig(**shape, tie_word_embeddings=tied, rope_parameters={"rope_type": "default", "rope_theta": theta})
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            for key, weight in model.named_parameters():
                noise = torch.from_numpy(rng.standard_normal(weight.shape, dtype=np.float32))
                weight.copy_(1 + 0.2 * noise if "norm" in key else 0.2 * noise)
        shutil.rmtree(DATA / name, ignore_errors=True)
        model.save_pretrained(DATA / name)
        (DATA / name / "generation_config.json").unlink(missing_ok=True)
        if not tied:
            path = DATA / name / "config.json"
            config = json.loads(path.read_text())
            config.update(rope_theta=config.pop("rope_parameters")["rope_theta"], torch_dtype=config.pop("dtype"))
            path.write_text(json.dumps(config, indent=2) + "\n")

    base = load("tiny_llama")
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=LINEAR, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_" in key:
                noise = torch.from_numpy(rng.standard_normal(weight.shape, dtype=np.float32))
                weight.copy_((0.15 if "lora_A" in key else 0.05) * noise)
    model.peft_config["default"].base_model_name_or_path = "tiny_llama"
    folder = DATA / "tiny_llama_adapter"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()  # peft writes a set in the order of this process's hashes
    path.write_text(json.dumps(config, indent=2) + "\n")
    for path in DATA.glob("tiny_llama*/*.safetensors"):
        path.chmod(0o644)


def load(name, attention="sdpa"):
    return LlamaForCausalLM.from_pretrained(DATA / name, dtype=torch.float32, attn_implementation=attention).eval()


def load_adapted(name, attention="sdpa"):
    return PeftModel.from_pretrained(load(name, attention), DATA / "tiny_llama_adapter", is_trainable=True).eval()


def trained(model):
    """Trainable tensors under the names that their file has."""
    return {key.replace(".default", ""): weight for key, weight in model.named_parameters() if weight.requires_grad}


def norm(weights):
    return torch.stack([w.grad.norm() for w in weights.values()]).norm()


def all_log_probs(model, groups):
    """[pair][winner, loser] -> [T]."""
    return [[token_log_probs(model, g["prompt_ids"], r["ids"]) for r in g["responses"]] for g in groups]


def sums(log_probs):
    return [[r.sum() for r in pair] for pair in log_probs]


def values(nested):
    return [[rounded(r) for r in pair] for pair in nested]


def sppo_loss(log_probs, previous, groups):
    losses = []
    for pair, before, group in zip(sums(log_probs), previous, groups):
        squares = [(now - then - ETA * (r["win_rate"] - 0.5)) ** 2 for now, then, r in zip(pair, before, group["responses"])]
        losses.append(sum(squares) / 2)
    return torch.stack(losses).mean()


def nll_loss(log_probs):
    flat = torch.cat([r for pair in log_probs for r in pair])
    return -flat.mean()


def run_optimizer(model, options, loss_of, groups):
    weights = trained(model)
    options = dict(options)
    clip = options.pop("max_grad_norm")
    optimizer = getattr(torch.optim, options.pop("optimizer"))(weights.values(), **options)
    steps = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(all_log_probs(model, groups))
        loss.backward()
        size = norm(weights)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(weights.values(), clip)
        optimizer.step()
        with torch.no_grad():
            after = sums(all_log_probs(model, groups))
        steps.append({"loss": rounded(loss), "grad_norm": rounded(size), "log_probs": values(after)})
    with torch.no_grad():
        final = all_log_probs(model, groups)
        return {"steps": steps, "final_loss": rounded(loss_of(final)), "final_token_log_probs": values(final)}


def gradients(model):
    return {key: {"shape": list(w.shape), "values": rounded(w.grad.flatten())} for key, w in trained(model).items()}


def numbers(name, groups, attention="sdpa"):
    base = load(name, attention)
    with torch.no_grad():
        base_log_probs = all_log_probs(base, groups)
    previous = values(sums(base_log_probs))
    out = {
        "base": name,
        "adapter": "tiny_llama_adapter",
        "base_token_log_probs": values(base_log_probs),
        "previous_log_probs": previous,
    }

    def sppo(log_probs):
        return sppo_loss(log_probs, previous, groups)

    adapted = load_adapted(name, attention)
    log_probs = all_log_probs(adapted, groups)
    loss = sppo(log_probs)
    loss.backward()
    out["adapter_token_log_probs"] = values(log_probs)
    out["sppo"] = {"loss": rounded(loss), "grad_norm": rounded(norm(trained(adapted))), "gradients": gradients(adapted)}
    out["runs"] = {
        key: {"loss": "sppo", "trained": "adapter", **options, **run_optimizer(load_adapted(name, attention), options, sppo, groups)}
        for key, options in RUNS.items()
    }
    out["runs"]["full_adamw"] = {
        "loss": "nll", "trained": "all weights, no adapter", **RUNS["adamw"],
        **run_optimizer(load(name, attention), RUNS["adamw"], nll_loss, groups),
    }

    loss = nll_loss(all_log_probs(base, groups))
    loss.backward()
    out["nll"] = {"loss": rounded(loss), "grad_norm": rounded(norm(trained(base)))}
    nll_gradients = gradients(base)

    out["greedy"] = []
    for group in groups:
        row = {"prompt_ids": group["prompt_ids"]}
        for key, model in (("base", base), ("adapter", adapted)):
            ids, margins = greedy(model, group["prompt_ids"], 16)
            row[key] = {"ids": ids, "margins": rounded(margins)}
        out["greedy"].append(row)
    return out, nll_gradients


def leaves(value):
    if isinstance(value, dict):
        return [x for item in value.values() for x in leaves(item)]
    if isinstance(value, list):
        return [x for item in value for x in leaves(item)]
    return [value] if isinstance(value, (int, float)) else []


def difference(a, b):
    return max(abs(x - y) for x, y in zip(leaves(a), leaves(b), strict=True))


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    make_models(rng)
    groups = []
    for prompt, winner, loser, p_w, p_l in GROUPS:
        ids = [rng.integers(3, 67, size=n).tolist() for n in (prompt, winner, loser)]
        groups.append({
            "prompt_ids": ids[0],
            "responses": [{"ids": ids[1], "win_rate": p_w}, {"ids": ids[2], "win_rate": p_l}],
        })
    result = {
        "made_by": "tests/parity/tiny_llama_lora.py",
        "versions": versions("torch", "transformers", "peft", "safetensors", "numpy"),
        "eta": ETA,
        "groups": groups,
        "variants": {},
    }
    for name in ("tiny_llama", "tiny_llama_untied"):
        out, nll_gradients = numbers(name, groups)
        other, other_gradients = numbers(name, groups, attention="eager")
        out["noise"] = rounded({
            "token_log_probs": difference(out["adapter_token_log_probs"], other["adapter_token_log_probs"]),
            "sppo_gradients": difference(out["sppo"]["gradients"], other["sppo"]["gradients"]),
            "nll_gradients": difference(nll_gradients, other_gradients),
            **{f"{key}_final_token_log_probs": difference(run["final_token_log_probs"], other["runs"][key]["final_token_log_probs"])
               for key, run in out["runs"].items()},
        }, 2)
        result["variants"][name] = out
        write_json(DATA / f"{name}_nll_gradients.json", {
            "made_by": result["made_by"], "base": name, "loss": out["nll"]["loss"], "gradients": nll_gradients,
        })
        print(name, "loss", out["sppo"]["loss"], "grad norm", out["sppo"]["grad_norm"], "noise", out["noise"])
        for key, run in out["runs"].items():
            print(" ", key, [s["loss"] for s in run["steps"]][:4], "...", run["final_loss"], [s["grad_norm"] for s in run["steps"]][:3])
    write_json(DATA / "tiny_llama_lora.json", result)


if __name__ == "__main__":
    main()
