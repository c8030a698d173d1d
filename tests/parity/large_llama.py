"""Makes a GGUF file of Llama 2 7B's shape with random 4-bit weights, to measure memory and time with.

    large_llama.py OUT.gguf [--layers 32]

Every matrix is q4_0: 18 bytes for 32 weights, of about the size that trained ones have, so that nothing
overflows. The tokenizer has bytes and made-up words. Needs the packages `gguf` and `numpy`.
"""

import argparse

import gguf
import numpy as np

HIDDEN, INNER, HEADS, VOCABULARY = 4096, 11008, 32, 32000

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--layers", type=int, default=32)
options = parser.parse_args()

random = np.random.default_rng(0)
writer = gguf.GGUFWriter(options.out, "llama", use_temp_file=True)
writer.add_name("random Llama of 7B's shape")
writer.add_context_length(4096)
writer.add_embedding_length(HIDDEN)
writer.add_block_count(options.layers)
writer.add_feed_forward_length(INNER)
writer.add_head_count(HEADS)
writer.add_head_count_kv(HEADS)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(HIDDEN // HEADS)
writer.add_rope_freq_base(10000.0)
writer.add_vocab_size(VOCABULARY)

tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
types = [2, 3, 3] + [6] * 256
letters = "abcdefghijklmnopqrstuvwxyz"
while len(tokens) < VOCABULARY:
    at = len(tokens) - 259
    tokens.append("▁" + letters[at % 26] + letters[at // 26 % 26] + letters[at // 676 % 26] + (letters[at // 17576] if at >= 17576 else ""))
    types.append(1)
writer.add_tokenizer_model("llama")
writer.add_token_list(tokens)
writer.add_token_scores([-float(index) for index in range(VOCABULARY)])
writer.add_token_types(types)
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)


def add_matrix(name: str, rows: int, columns: int) -> None:
    blocks = random.integers(0, 256, (rows, columns // 32, 18), dtype=np.uint8)
    scales = (random.random((rows, columns // 32)) * 0.004 + 0.001).astype(np.float16)
    blocks[..., :2] = scales[..., None].view(np.uint8)
    writer.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0)


def add_norm(name: str) -> None:
    writer.add_tensor(name, np.ones(HIDDEN, np.float32))


add_matrix("token_embd.weight", VOCABULARY, HIDDEN)
for layer in range(options.layers):
    block = f"blk.{layer}"
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add_matrix(f"{block}.{name}.weight", HIDDEN, HIDDEN)
    for name in ("ffn_gate", "ffn_up"):
        add_matrix(f"{block}.{name}.weight", INNER, HIDDEN)
    add_matrix(f"{block}.ffn_down.weight", HIDDEN, INNER)
    add_norm(f"{block}.attn_norm.weight")
    add_norm(f"{block}.ffn_norm.weight")
add_norm("output_norm.weight")
add_matrix("output.weight", VOCABULARY, HIDDEN)

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
