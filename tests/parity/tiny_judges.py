"""Reference numbers of judges on tiny random models: PyTorch, transformers and PairRM's head.

Makes, from nothing but its seed:
  data/tiny_pair_rm/          a Hugging Face folder as PairRM-hf has it: `config.json` of a DeBERTa-v2,
                              two tasks, distances in 8 buckets up to 24; float16
  data/tiny_pair_rm_blender/  a folder as llm-blender/PairRM has it: `config.json` of a ranker, so that
                              sizes are the tensors'; float16
  data/tiny_reward_deberta/   a DebertaV2ForSequenceClassification with all that the two above lack:
                              absolute positions, token types, projections of distances of their own
  data/tiny_reward_llama/     a LlamaForSequenceClassification
  data/tiny_judges.json       texts, token ids and lengths, PairRM's K×K logits, rewards

Command:  python tests/parity/tiny_judges.py

All four share one tokenizer in DeBERTa-v3's manner: a unigram model behind Metaspace, [CLS] and [SEP]
around a text, and PairRM's four added tokens. A text is a list of [piece, times] pairs, joined.

PairRM's sequences are those of LLM-Blender's `tokenize_pair`: each segment is encoded with its opening
and its own special tokens, a prompt cut to 1224 and a response to half of what is left of 2048. The
head is `DebertaV2PairRM`'s. `noise` is how far logits move when a row is padded by 40 tokens.
"""

import json
import shutil

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, decoders, trainers
from transformers import (
    DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Model, LlamaConfig, LlamaForSequenceClassification,
)
from safetensors.torch import save_file

from reference import DATA, rounded, versions, write_json

SEED = 20230602561
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
ADDED = ["[MASK]", "<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>"]
CORPUS = """hello how are you I am fine thanks good bye get out I love you too I hate you that is a good guy
what is the best way to learn a language read books and speak with people every day the answer is seven
because three plus four is seven write a short poem about the sea the sea is blue and deep the waves sing
me to sleep ! ? . , : ' " - ( ) 0 1 2 3 4 5 6 7 8 9 A B C D E USER Assistant Response < > / *""".split()

GROUPS = [
    {"prompt": [["hello, how are you!", 1]],
     "responses": [[["get out!", 1]], [["hi! I am fine, thanks!", 1]], [["bye!", 1]]]},
    {"prompt": [["  What   is\nthe best way?\t ", 1]],
     "responses": [[["  leading and   inner  spaces  ", 1]], [["\n\nlines\nof text\r\n", 1]], [["tab\tand\u00a0nbsp", 1]]]},
    {"prompt": [["emoji \U0001f642\U0001f642 and \u65e5\u672c\u8a9e", 1]],
     "responses": [[["", 1]], [["\U0001f600", 1]], [["e\u0301 and \u00e9 \ufb01 \u2460", 1]]]},
    {"prompt": [["", 1]], "responses": [[["", 1]], [["a", 1]]]},
    {"prompt": [["the sea is blue and deep ", 300]],
     "responses": [[["write a short poem ", 200]], [["the answer is seven. ", 3]]]},
    {"prompt": [["read books ", 20]],
     "responses": [[["good people every day ", 400]], [["I love you too! ", 350]]]},
]
REWARD_TEXTS = [
    [["hello, how are you! I am fine, thanks!", 1]], [["  spaces \U0001f642 ", 1]], [["", 1]], [["the sea is blue ", 15]],
]


def text_of(parts):
    return "".join(piece * times for piece, times in parts)


def make_tokenizer():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=SPECIAL, unk_token="[UNK]")
    tokenizer.train_from_iterator([" ".join(CORPUS)] * 3, trainer)
    size = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(ADDED)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    assert tokenizer.token_to_id("[MASK]") == size
    return tokenizer


def randomise(model, generator, scale=0.25):
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.from_numpy(generator.standard_normal(weight.shape, dtype=np.float32))
            weight.copy_((1 + 0.2 * noise if "LayerNorm.weight" in key or "norm.weight" in key else scale * noise).half().float())
    return model.eval()


class PairRM(torch.nn.Module):
    def __init__(self, config, tasks):
        super().__init__()
        self.pretrained_model = DebertaV2Model(config)
        size = config.hidden_size
        self.head_layer = torch.nn.Sequential(
            torch.nn.Dropout(0.05), torch.nn.Linear(2 * size, size), torch.nn.Tanh(), torch.nn.Dropout(0.05),
            torch.nn.Linear(size, tasks))

    def forward(self, ids, mask, openings):
        hidden = self.pretrained_model(input_ids=ids, attention_mask=mask).last_hidden_state
        source, left, right = (hidden[ids == opening] for opening in openings)
        value = lambda response: self.head_layer(torch.cat([source, response], -1))
        return (value(left) - value(right)).mean(-1)


def encode_pair(tokenizer, prompt, left, right):
    def segment(opening, text, limit):
        ids = tokenizer.encode(opening + text.replace("[SEP]", " ")).ids
        return ids if len(ids) <= limit else ids[: limit - 1] + ids[-1:]

    source = segment("<|source|>", prompt, 1224)
    limit = (2048 - len(source)) // 2
    return source + segment("<|candidate1|>", left, limit) + segment("<|candidate2|>", right, limit)


@torch.no_grad()
def pair_logits(model, tokenizer, group, padding=0):
    openings = [tokenizer.token_to_id(name) for name in ("<|source|>", "<|candidate1|>", "<|candidate2|>")]
    prompt, responses = text_of(group["prompt"]), [text_of(one) for one in group["responses"]]
    size = len(responses)
    logits, ids = torch.zeros(size, size), {}
    for i in range(size):
        for j in range(size):
            if i == j:
                continue
            row = encode_pair(tokenizer, prompt, responses[i], responses[j])
            mask = [1] * len(row) + [0] * padding
            logits[i, j] = model(torch.tensor([row + [0] * padding]), torch.tensor([mask]), openings)[0]
            ids[f"{i},{j}"] = row
    return logits, ids


def save(folder, model, config, tokenizer, prefix=""):
    path = DATA / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    tensors = {prefix + key: value.half().contiguous() for key, value in model.state_dict().items() if "position_ids" not in key}
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if tokenizer is not None:
        (path / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")


def json_config(config, **more):
    kept = config.to_dict()
    for key in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        kept.pop(key, None)
    return {**kept, **more}


def main():
    generator = np.random.default_rng(SEED)
    tokenizer = make_tokenizer()
    vocab = tokenizer.get_vocab_size()
    shape = dict(
        vocab_size=vocab, num_hidden_layers=2, relative_attention=True, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
        layer_norm_eps=1e-7, max_relative_positions=-1, pad_token_id=0)
    numbers = {"versions": versions("torch", "transformers", "tokenizers"), "seed": SEED, "pair_rm": {}, "rewards": {}}

    hf = DebertaV2Config(**shape, hidden_size=32, num_attention_heads=4, intermediate_size=40,
                         position_buckets=8, max_position_embeddings=24)
    blender = DebertaV2Config(**{**shape, "num_hidden_layers": 1}, hidden_size=128, num_attention_heads=2,
                              intermediate_size=32, position_buckets=16, max_position_embeddings=512)
    for name, config, tasks, description in (
        ("tiny_pair_rm", hf, 2, json_config(hf, model_type="deberta-v2", architectures=["DebertaV2PairRM"], n_tasks=2,
                                            source_prefix_id=tokenizer.token_to_id("<|source|>"), drop_out=0.05)),
        ("tiny_pair_rm_blender", blender, 1, {
            "ranker_type": "pairranker", "model_type": "deberta", "model_name": "microsoft/deberta-v3-large",
            "source_maxlength": 1224, "candidate_maxlength": 412, "n_tasks": 1, "reduce_type": "linear"}),
    ):
        model = randomise(PairRM(config, tasks), generator)
        save(name, model, description, tokenizer)
        groups = []
        for index, group in enumerate(GROUPS):
            logits, ids = pair_logits(model, tokenizer, group)
            stored = {**group, "logits": rounded(logits), "lengths": {key: len(row) for key, row in ids.items()}}
            if max(map(len, ids.values())) < 100 and name == "tiny_pair_rm":
                stored["ids"] = ids
            if index < 4:
                padded, _ = pair_logits(model, tokenizer, group, padding=40)
                stored["noise"] = rounded((padded - logits).abs().max(), 2)
            groups.append(stored)
        numbers["pair_rm"][name] = groups

    other = DebertaV2Config(**{**shape, "share_att_key": False, "position_biased_input": True, "type_vocab_size": 2,
                               "norm_rel_ebd": "none", "hidden_act": "gelu_new"},
                            hidden_size=32, num_attention_heads=2, intermediate_size=24, position_buckets=-1,
                            max_position_embeddings=160, num_labels=1, pooler_hidden_act="gelu", pooler_hidden_size=32)
    llama = LlamaConfig(vocab_size=vocab, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                        num_key_value_heads=2, head_dim=8, max_position_embeddings=160, rms_norm_eps=1e-5, bos_token_id=1,
                        eos_token_id=2, pad_token_id=0, num_labels=1)
    for name, cls, config in (("tiny_reward_deberta", DebertaV2ForSequenceClassification, other),
                              ("tiny_reward_llama", LlamaForSequenceClassification, llama)):
        model = randomise(cls(config), generator)
        save(name, model, json_config(config, architectures=[cls.__name__]), tokenizer)
        with torch.no_grad():
            rows = [tokenizer.encode(text_of(one)).ids for one in REWARD_TEXTS]
            rewards = [model(input_ids=torch.tensor([row])).logits[0, 0] for row in rows]
        numbers["rewards"][name] = [
            {"text": one, "ids": row, "reward": rounded(reward)} for one, row, reward in zip(REWARD_TEXTS, rows, rewards)]
    write_json(DATA / "tiny_judges.json", numbers)


if __name__ == "__main__":
    main()
