"""Reference numbers of every decoder architecture on tiny random checkpoints: transformers and peft.

Makes, from nothing but its seed, for each checkpoint NAME in data/architectures/:
  NAME/config.json, model*.safetensors   a Hugging Face folder in bfloat16; the Llama in shards
  NAME/adapter/                          a peft LoRA adapter, rank 2, on all linear layers, A and B random
  NAME/gradients.safetensors             gradients of the token-likelihood loss: of all weights, without
                                         the adapter; of A and B, with it (names with `lora_`)
  NAME.gguf                              the same weights as llama.cpp's converter writes them
  architectures.json                     log-probabilities and greedy tokens, of variants too: other
                                         configurations of the same weights (scaled rotary positions)

Command:  python tests/parity/architectures.py

Every response is a row of its own, without padding. The loss is the mean of −log p over all response
tokens. Everything is computed in float32 with eager attention. Of dynamic scaling, which depends on the
length of the whole text, only texts up to the original length are here: longer ones are refused.
"""

import json
import re
import shutil

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from reference import DATA, rounded, versions, write_json

SEED = 20240500676
FOLDER = DATA / "architectures"
VOCAB = 53
GREEDY_TOKENS = 24
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# (prompt length, response lengths): longer than the windows and than the original lengths below
GROUPS = [(6, [22, 9]), (19, [13, 5])]

SHAPE = dict(
    vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
ORIGINAL = 16


def rope(kind, theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


# name: (configuration, peft's target modules)
CHECKPOINTS = {
    "llama": (LlamaConfig(
        **SHAPE, head_dim=16, max_position_embeddings=131072, attention_bias=True, mlp_bias=True,
        rope_parameters=rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=8192),
    ), LINEAR),
    "mistral": (MistralConfig(
        **SHAPE, max_position_embeddings=64, sliding_window=5, rope_parameters=rope("default", 1000000.0),
    ), LINEAR),
    "qwen2": (Qwen2Config(
        **SHAPE, max_position_embeddings=64, tie_word_embeddings=True, use_sliding_window=True,
        sliding_window=6, max_window_layers=1, rope_parameters=rope("default", 1000000.0),
    ), LINEAR),
    "qwen3": (Qwen3Config(
        **SHAPE, head_dim=16, max_position_embeddings=64, tie_word_embeddings=True,
        rope_parameters=rope("default", 1000000.0),
    ), LINEAR),
    "gemma3": (Gemma3TextConfig(
        **SHAPE, head_dim=16, max_position_embeddings=64, query_pre_attn_scalar=12, sliding_window=5,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": rope("default", 10000.0),
            "full_attention": rope("linear", 1000000.0, factor=8.0),
        },
    ), LINEAR),
    "gpt2": (GPT2Config(
        vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=1,
        eos_token_id=2,
    ), ["c_attn", "c_fc", "c_proj"]),
    # Without the caps scores would reach 10 and logits 4.
    "gemma2": (Gemma2Config(
        **SHAPE, head_dim=16, max_position_embeddings=64, query_pre_attn_scalar=12, sliding_window=5,
        attn_logit_softcapping=1.5, final_logit_softcapping=2.5, rope_parameters=rope("default", 10000.0),
    ), LINEAR),
}

# Other configurations of the Llama's weights.
VARIANTS = {
    "llama_llama3": dict(max_position_embeddings=128, rope_parameters=rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=ORIGINAL)),
    "llama_linear": dict(max_position_embeddings=ORIGINAL, rope_parameters=rope("linear", factor=4.0)),
    "llama_dynamic": dict(max_position_embeddings=64, rope_parameters=rope("dynamic", factor=4.0)),
    "llama_yarn": dict(max_position_embeddings=ORIGINAL, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=ORIGINAL, beta_fast=4.0, beta_slow=0.5)),
}


def fill(model, rng):
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(weight.shape, dtype=np.float32))
            one = 1 if re.search(r"norm|ln_", key) and key.endswith("weight") and "gemma" not in model.config.model_type else 0
            weight.copy_(one + 0.3 * noise)


def make(name, config, targets, rng):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    fill(model, rng)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="6KB" if name == "llama" else "1MB")
    (folder / "generation_config.json").unlink(missing_ok=True)

    adapted = get_peft_model(load(name), LoraConfig(
        r=2, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM", fan_in_fan_out=name == "gpt2"))
    with torch.no_grad():
        for key, weight in adapted.named_parameters():
            if "lora_" in key:
                noise = torch.from_numpy(rng.standard_normal(weight.shape, dtype=np.float32))
                weight.copy_(0.15 * noise)
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    path = folder / "adapter" / "adapter_config.json"
    adapter = json.loads(path.read_text())
    adapter["target_modules"].sort()
    path.write_text(json.dumps(adapter, indent=2) + "\n")
    for path in folder.glob("**/*.safetensors"):
        path.chmod(0o644)


def load(name, config=None):
    config = config or AutoConfig.from_pretrained(FOLDER / name)
    return AutoModelForCausalLM.from_pretrained(
        FOLDER / name, config=config, dtype=torch.float32, attn_implementation="eager").eval()


def token_log_probs(model, prompt, response):
    ids = torch.tensor([[*prompt, *response[:-1]]])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :]
    return logits.log_softmax(-1).gather(-1, torch.tensor(response)[:, None])[:, 0]


def all_log_probs(model, groups):
    return [[token_log_probs(model, g["prompt_ids"], ids) for ids in g["responses"]] for g in groups]


@torch.no_grad()
def greedy(model, prompt):
    """Greedy tokens through the cache, and the least difference of the best two logits."""
    ids, margin, past = [], float("inf"), None
    step = torch.tensor([prompt])
    for _ in range(GREEDY_TOKENS):
        out = model(input_ids=step, past_key_values=past, use_cache=True)
        past = out.past_key_values
        top = out.logits[0, -1].topk(2)
        ids.append(top.indices[0].item())
        margin = min(margin, (top.values[0] - top.values[1]).item())
        step = torch.tensor([[ids[-1]]])
    return {"ids": ids, "margin": rounded(margin, 3)}


def loss_of(log_probs):
    return -torch.cat([r for group in log_probs for r in group]).mean()


def gradients(model):
    return {
        key.replace(".default", "").replace("base_model.model.", ""): weight.grad.contiguous().clone()
        for key, weight in model.named_parameters() if weight.grad is not None
    }


def numbers(name, groups, config=None):
    base = load(name, config)
    log_probs = all_log_probs(base, groups)
    loss = loss_of(log_probs)
    loss.backward()
    out = {"checkpoint": name, "base": rounded(log_probs), "base_loss": rounded(loss)}
    out["base_greedy"] = [greedy(base, g["prompt_ids"]) for g in groups]
    of_weights = gradients(base)

    adapted = PeftModel.from_pretrained(load(name, config), FOLDER / name / "adapter", is_trainable=True).eval()
    log_probs = all_log_probs(adapted, groups)
    loss = loss_of(log_probs)
    loss.backward()
    out.update(adapter=rounded(log_probs), adapter_loss=rounded(loss))
    out["adapter_greedy"] = [greedy(adapted, g["prompt_ids"]) for g in groups]
    return out, of_weights, gradients(adapted)


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "post_attention_layernorm": "ffn_norm", "ln_1": "attn_norm",
    "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
GEMMA_NAMES = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def write_gguf(name, config):
    """The file that llama.cpp's converter would write (conversion/*.py of ggml-org/llama.cpp)."""
    arch = {"mistral": "llama"}.get(name, name)
    path = FOLDER / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, arch)

    def get(*keys):
        return next(value for key in keys if (value := getattr(config, key, None)) is not None)

    hidden, heads = get("hidden_size", "n_embd"), get("num_attention_heads", "n_head")
    head_dim = getattr(config, "head_dim", None) or hidden // heads
    writer.add_block_count(2)
    writer.add_context_length(get("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(4 * hidden if name == "gpt2" else config.intermediate_size)
    writer.add_head_count(heads)
    if name == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        parameters = config.rope_parameters.get("full_attention", config.rope_parameters)
        writer.add_rope_freq_base(parameters["rope_theta"])
        if head_dim * heads != hidden:
            writer.add_key_length(head_dim)
            writer.add_value_length(head_dim)
        if parameters["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(parameters["factor"])
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
        writer.add_vocab_size(VOCAB)
    if name in ("mistral", "gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if name == "gemma3":
        writer.add_uint32("gemma3.attention.sliding_window_pattern", 2)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre({"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2", "gpt2": "gpt-2"}.get(name, "default"))
    writer.add_token_list([f"t{i}" for i in range(VOCAB)])
    writer.add_token_types([1] * VOCAB)
    writer.add_token_merges([])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def permuted(data, heads):
        return data.reshape(heads, 2, head_dim // 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)

    names = {**GGUF_NAMES, **(GEMMA_NAMES if name.startswith("gemma") else {})}
    for key, tensor in sorted(state_of(name).items()):
        data = tensor.float().numpy()
        stem, kind = key.rsplit(".", 1)
        block = re.match(r"(?:model\.layers|transformer\.h)\.(\d+)\.(.+)$", stem)
        target = f"blk.{block[1]}.{names[block[2]]}" if block else names[stem]
        if arch == "llama" and stem.endswith(("q_proj", "k_proj")):
            data = permuted(data, heads if stem.endswith("q_proj") else config.num_key_value_heads)
        if name == "gpt2" and stem.endswith(("c_attn", "c_proj", "c_fc")):
            data = data.T
        if name.startswith("gemma") and stem.endswith("norm"):
            data = data + 1
        data = np.ascontiguousarray(data, dtype=np.float32)
        if data.ndim == 2:
            writer.add_tensor(f"{target}.{kind}", gguf.quants.quantize(data, gguf.GGMLQuantizationType.BF16),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(f"{target}.{kind}", data)
    if name == "llama":
        inverse = 1 / 500000.0 ** (torch.arange(0, head_dim, 2) / head_dim)
        factors = []
        for frequency in inverse.tolist():
            turns = 8192 * frequency / (2 * np.pi)
            smooth = (turns - 1) / (4 - 1)
            factors.append(1.0 if turns > 4 else 8.0 if turns < 1 else 1 / ((1 - smooth) / 8 + smooth))
        assert 1.0 in factors and 8.0 in factors and any(1 < f < 8 for f in factors)
        writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def state_of(name):
    state = {}
    for path in sorted((FOLDER / name).glob("model*.safetensors")):
        state.update(load_file(path))
    return state


def check_gguf(name):
    """transformers' own reader of GGUF files finds the weights of the folder."""
    # transformers reads a Mistral's file as a Llama's, and does not read every size of the others.
    config = {} if name == "mistral" else {"config": AutoConfig.from_pretrained(FOLDER / name)}
    found = AutoModelForCausalLM.from_pretrained(
        FOLDER, gguf_file=f"{name}.gguf", dtype=torch.float32, **config).state_dict()
    for key, weight in load(name).state_dict().items():
        if name == "llama" and key.endswith(".bias"):
            continue  # transformers reads no biases of a Llama
        difference = (found[key] - weight).abs().max().item()
        if difference > 1e-6:
            raise ValueError(f"Cannot use {name}.gguf as transformers must read {key} as it is: off by {difference}")


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    FOLDER.mkdir(exist_ok=True)
    groups = [
        {"prompt_ids": rng.integers(3, VOCAB, size=prompt).tolist(),
         "responses": [rng.integers(3, VOCAB, size=n).tolist() for n in responses]}
        for prompt, responses in GROUPS
    ]
    result = {
        "made_by": "tests/parity/architectures.py",
        "versions": versions("torch", "transformers", "peft", "gguf", "numpy"),
        "groups": groups,
        "variants": {},
    }
    for name, (config, targets) in CHECKPOINTS.items():
        make(name, config, targets, rng)
        out, of_weights, of_adapter = numbers(name, groups)
        result["variants"][name] = out
        save_file({**of_weights, **of_adapter}, FOLDER / name / "gradients.safetensors")
        write_gguf(name, AutoConfig.from_pretrained(FOLDER / name))
        check_gguf(name)
        print(name, out["base_loss"], out["adapter_loss"], [g["margin"] for g in out["base_greedy"] + out["adapter_greedy"]])
    for name, changes in VARIANTS.items():
        config = LlamaConfig.from_pretrained(FOLDER / "llama", **changes)
        out, _, of_adapter = numbers("llama", groups, config)
        out["config"] = json.loads(config.to_json_string(use_diff=False))
        out["config"] = {key: out["config"][key] for key in ("max_position_embeddings", "rope_parameters")}
        result["variants"][name] = out
        save_file(of_adapter, FOLDER / f"{name}_gradients.safetensors")
        print(name, out["base_loss"], out["adapter_loss"], [g["margin"] for g in out["base_greedy"] + out["adapter_greedy"]])
    write_json(FOLDER / "architectures.json", result)


if __name__ == "__main__":
    main()
