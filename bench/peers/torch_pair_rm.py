"""Times PairRM in PyTorch: transformers' DeBERTa-v2 and the head, on sequences of one length.

Writes a random checkpoint of a given shape first, as PairRM-hf's folder is (`config.json`,
`model.safetensors`), so that both sides load the same weights.

Command:  python bench/peers/torch_pair_rm.py --folder DIR --sequences FILE [--hidden 768] [--layers 12]
              [--heads 12] [--vocabulary 32768] [--threads 2]

Speaks the line protocol of protocol.py: `run 4` computes all sequences, 4 at a time, and answers
{"seconds", "logits", "peak_rss_mib"}; `run product` takes one product of 2048 × hidden by hidden ×
4 · hidden. --sequences is a JSON list of {"ids", "places"}.
"""

import argparse
import json
import time
from pathlib import Path

from protocol import peak_rss_mib, serve

import torch
from safetensors.torch import save_file
from transformers import DebertaV2Config, DebertaV2Model

from reference import versions


class PairRM(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.pretrained_model = DebertaV2Model(config)
        size = config.hidden_size
        self.head_layer = torch.nn.Sequential(
            torch.nn.Dropout(0.05), torch.nn.Linear(2 * size, size), torch.nn.Tanh(), torch.nn.Dropout(0.05),
            torch.nn.Linear(size, 1))

    def forward(self, ids, places):
        hidden = self.pretrained_model(input_ids=ids).last_hidden_state
        rows = torch.arange(len(ids))
        source, left, right = (hidden[rows, place] for place in places.T)
        value = lambda response: self.head_layer(torch.cat([source, response], -1))
        return (value(left) - value(right))[:, 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sequences", type=Path, required=True)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=32768)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)

    config = DebertaV2Config(
        vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
        num_attention_heads=options.heads, intermediate_size=4 * options.hidden, relative_attention=True,
        position_buckets=256, max_relative_positions=-1, max_position_embeddings=512, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, layer_norm_eps=1e-7)
    model = PairRM(config).eval()
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items() if "position_ids" not in key},
        options.folder / "model.safetensors")
    (options.folder / "config.json").write_text(json.dumps({**config.to_dict(), "model_type": "deberta-v2"}))

    sequences = json.loads(options.sequences.read_text())
    ids = torch.tensor([one["ids"] for one in sequences])
    places = torch.tensor([one["places"] for one in sequences])

    rows, wide = torch.randn(2048, options.hidden), torch.randn(4 * options.hidden, options.hidden)

    def run(size="1"):
        if size == "product":
            start = time.perf_counter()
            with torch.inference_mode():
                torch.nn.functional.linear(rows, wide)
            return {"seconds": time.perf_counter() - start, "peak_rss_mib": peak_rss_mib()}
        size = int(size)
        start = time.perf_counter()
        with torch.inference_mode():
            logits = torch.cat([model(*part) for part in zip(ids.split(size), places.split(size))])
        seconds = time.perf_counter() - start
        return {"seconds": round(seconds, 4), "logits": logits.tolist(), "peak_rss_mib": peak_rss_mib()}

    serve(run, {"versions": versions("torch", "transformers"), "threads": options.threads})


if __name__ == "__main__":
    main()
