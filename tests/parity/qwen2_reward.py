"""Rewards of a tiny random Qwen2 sequence classifier, by transformers.

Makes, from nothing but its seed and the tokenizer of tiny_judges.py:
  data/tiny_reward_qwen2/       a Qwen2ForSequenceClassification, with biases on queries, keys and values
  data/tiny_reward_qwen2.json   {"rewards": {folder: [{text, ids, reward}]}}, as in tiny_judges.json

Command:  python tests/parity/qwen2_reward.py
"""

import shutil

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForSequenceClassification

from reference import DATA, rounded, versions, write_json
from tiny_judges import REWARD_TEXTS, json_config, randomise, save, text_of

SEED = 20240717


@torch.no_grad()
def main():
    path = DATA / "tiny_reward_llama" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=160, rms_norm_eps=1e-6,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, num_labels=1)
    model = randomise(Qwen2ForSequenceClassification(config), np.random.default_rng(SEED))
    save("tiny_reward_qwen2", model, json_config(config, architectures=["Qwen2ForSequenceClassification"]), None)
    shutil.copy(path, DATA / "tiny_reward_qwen2" / "tokenizer.json")
    rows = [(text, tokenizer.encode(text_of(text)).ids) for text in REWARD_TEXTS]
    rewards = [
        {"text": text, "ids": ids, "reward": rounded(model(input_ids=torch.tensor([ids])).logits[0, 0])}
        for text, ids in rows]
    write_json(DATA / "tiny_reward_qwen2.json", {
        "versions": versions("torch", "transformers", "tokenizers"), "seed": SEED,
        "rewards": {"tiny_reward_qwen2": rewards}})


main()
