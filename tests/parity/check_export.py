"""Checks models that `sppo export` wrote against what `sppo generate` said: exit code 1 where they differ.

Command:  python tests/parity/check_export.py RESPONSES [--safetensors DIR] [--onnx DIR]

RESPONSES is the output of `sppo generate --temperature 0` on the same model (with the same adapter):
prompts with token ids and log-probabilities of greedy responses. transformers loads the safetensors,
onnxruntime the ONNX model with its caches: the prompt at once, then token by token, and all prompts
padded on the left in one batch. Each must give the same log-probabilities, to 1e-4 relative, and the
same greedy tokens.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

TOLERANCE = 1e-4


def records(path, tokenizer):
    """Prompt ids, response ids and log-probability of each response."""
    out = []
    for line in open(path):
        record = json.loads(line)
        text = [{"role": "user", "content": record["prompt"]}]
        prompt = tokenizer.apply_chat_template(text, add_generation_prompt=True, return_dict=False)
        for response in record["responses"]:
            out.append((list(prompt), response["token_ids"], response["log_prob"]))
    return out


def log_softmax(logits):
    logits = logits.astype(np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


class Torch:
    def __init__(self, folder):
        import torch
        from transformers import AutoModelForCausalLM

        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def logits(self, prompt, response):
        with self.torch.no_grad():
            out = self.model(input_ids=self.torch.tensor([[*prompt, *response]])).logits[0]
        return out[len(prompt) - 1 : -1].numpy()


class Onnx:
    def __init__(self, folder):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx", providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.caches = [one for one in self.session.get_inputs() if one.name.startswith("past_key_values.")]

    def run(self, ids, mask, positions, past):
        feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **past}
        out = dict(zip(self.outputs, self.session.run(None, {k: v for k, v in feeds.items()})))
        return out["logits"], {name.replace("present", "past_key_values"): value for name, value in out.items() if name != "logits"}

    def empty(self, batch):
        return {one.name: np.zeros((batch, one.shape[1], 0, one.shape[3]), np.float32) for one in self.caches}

    def logits(self, prompt, response):
        """The prompt at once, then token by token."""
        return self.batch([prompt], [response])[0]

    def batch(self, prompts, responses):
        """Prompts padded on the left, then all responses token by token."""
        longest = max(map(len, prompts))
        ids = np.array([[0] * (longest - len(p)) + p for p in prompts], np.int64)
        mask = np.array([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], np.int64)
        past, steps = self.empty(len(prompts)), []
        for step in range(max(map(len, responses))):
            positions = np.clip(mask.cumsum(1) - 1, 0, None)[:, -ids.shape[1] :]
            logits, past = self.run(ids, mask, positions, past)
            steps.append(logits[:, -1])
            ids = np.array([[r[min(step, len(r) - 1)]] for r in responses], np.int64)
            mask = np.concatenate([mask, np.ones((len(prompts), 1), np.int64)], 1)
        return [np.stack([step[row] for step in steps[: len(r)]]) for row, r in enumerate(responses)]


def report(what, found, rows):
    worst, same = 0.0, 0
    for logits, (_, response, log_prob) in zip(found, rows):
        value = log_softmax(logits)[np.arange(len(response)), response].sum()
        worst = max(worst, abs(value - log_prob) / max(1, abs(log_prob)))
        same += list(logits.argmax(-1)) == list(response)
    good = worst <= TOLERANCE and same == len(rows)
    print(f"{what}: largest relative difference {worst:.1e}, same greedy tokens {same}/{len(rows)}{'' if good else '  WRONG'}")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("responses")
    parser.add_argument("--safetensors")
    parser.add_argument("--onnx")
    options = parser.parse_args()
    from transformers import AutoTokenizer

    rows = records(options.responses, AutoTokenizer.from_pretrained(options.safetensors or options.onnx))
    good = True
    if options.safetensors:
        model = Torch(options.safetensors)
        good &= report("transformers, safetensors", [model.logits(p, r) for p, r, _ in rows], rows)
    if options.onnx:
        model = Onnx(options.onnx)
        good &= report("onnxruntime, ONNX", [model.logits(p, r) for p, r, _ in rows], rows)
        good &= report("onnxruntime, left-padded batch", model.batch([p for p, _, _ in rows], [r for _, r, _ in rows]), rows)
    sys.exit(0 if good else 1)


main()
