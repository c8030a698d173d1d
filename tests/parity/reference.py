"""What the scripts of this folder share: reading models, log-probabilities, writing numbers.

Not a script. `log_prob` means the model's own log-probability at temperature 1 over the whole
vocabulary, in nats; a response's is the sum over its tokens.
"""

import json
import os
import re
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # every model is a local file

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.utils.logging.disable_progress_bar()

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
SHARED = Path(os.environ.get("SPPO_SHARED", HERE.parents[2] / "shared"))
SMOLLM2 = SHARED / "models" / "smollm2-135m-instruct"
SMOLLM2_GGUF = SMOLLM2 / "SmolLM2-135M-Instruct.Q4_1.gguf"


def versions(*names):
    """The installed versions of the packages `names`."""
    return {name: version(name) for name in names}


def rounded(value, digits=7):
    """`value` (tensor, number, nested lists) as JSON values with `digits` significant digits."""
    if isinstance(value, torch.Tensor):
        value = value.detach().tolist()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return value


def write_json(path, value):
    """Writes `value`, one array of numbers a line, and says how large it is."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda m: re.sub(r"\s+", " ", m[0]).replace("[ ", "[").replace(" ]", "]"), text)
    path.write_text(text + "\n")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def token_log_probs(model, prompt_ids, response_ids):
    """log p(response token | prompt, tokens before it): a tensor [T], with its gradient.

    One row without padding, so that no mask can matter.
    """
    ids = torch.tensor([[*prompt_ids, *response_ids]])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt_ids) - 1 : -1].float()  # [T, V]
    return logits.log_softmax(-1).gather(-1, torch.tensor(response_ids)[:, None])[:, 0]


@torch.no_grad()
def greedy(model, prompt_ids, tokens, stop_id=None):
    """The first `tokens` greedy tokens, and at each the top logit minus the second.

    Each step computes the whole sequence so far through the key-value cache of transformers.
    """
    ids, margins, past = [], [], None
    step = torch.tensor([list(prompt_ids)])
    for _ in range(tokens):
        out = model(input_ids=step, past_key_values=past, use_cache=True)
        past = out.past_key_values
        top = out.logits[0, -1].float().topk(2)
        ids.append(top.indices[0].item())
        margins.append((top.values[0] - top.values[1]).item())
        if ids[-1] == stop_id:
            break
        step = torch.tensor([[ids[-1]]])
    return ids, margins


def load_gguf_llama(path, dtype=torch.float32):
    """A `LlamaForCausalLM` with the dequantised weights of the GGUF file at `path`.

    llama.cpp's converter reorders the rows of every q and k projection from transformers' halves
    to interleaved pairs: within a head of size d, row (half h, i) of the checkpoint becomes row
    2·i + h of the file. This undoes it.
    """
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)

    def field(name, default=None):
        entry = reader.fields.get(name)
        return default if entry is None else entry.contents()

    if field("general.architecture") != "llama":
        raise ValueError(f"Cannot load {path} as a Llama as its general.architecture is {field('general.architecture')!r}")
    tensors = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()).float() for t in reader.tensors}
    heads = field("llama.attention.head_count")
    kv_heads = field("llama.attention.head_count_kv", heads)
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base", 10000.0)},
        tie_word_embeddings="output.weight" not in tensors,
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
    )

    def unpermuted(weight, count):
        rows, columns = weight.shape
        return weight.reshape(count, rows // count // 2, 2, columns).transpose(1, 2).reshape(rows, columns)

    names = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    }
    state = {}
    for name, weight in tensors.items():
        if name == "token_embd.weight":
            state["model.embed_tokens.weight"] = weight
        elif name == "output_norm.weight":
            state["model.norm.weight"] = weight
        elif name == "output.weight":
            state["lm_head.weight"] = weight
        else:
            _, layer, kind, _ = name.split(".")
            if kind == "attn_q":
                weight = unpermuted(weight, heads)
            elif kind == "attn_k":
                weight = unpermuted(weight, kv_heads)
            state[f"model.layers.{layer}.{names[kind]}.weight"] = weight
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM(config)
    model.load_state_dict(state, strict=True)
    model.tie_weights()
    return model.to(dtype).eval()


def load_model(path):
    """A model in float32 from a Hugging Face folder or a GGUF file."""
    path = Path(path)
    if path.suffix == ".gguf":
        return load_gguf_llama(path)
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
