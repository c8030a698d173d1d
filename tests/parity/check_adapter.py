"""Checks that `peft` loads a written LoRA adapter and gives the log-probabilities stored beside it.

From a model (a Hugging Face folder, or a Llama GGUF file), a PEFT adapter folder and a JSONL file
of scored responses, one {"prompt_token_ids", "token_ids", "log_prob"} a line (other fields are
ignored; `sppo score` writes such lines). `log_prob` is the sum over the tokens of the response.

Command:  python tests/parity/check_adapter.py --model MODEL --adapter DIR --scores FILE.jsonl [--tolerance 1e-3] [--threads 2]

Fails (exit code 1) when
- a tensor of the adapter's file has no place in the model, or a place none in the file (peft itself
  only warns of that), or
- a response's mean log-probability per token differs from peft's by more than the tolerance, in
  nats. The largest differences of the sums are printed too: those grow with length.
Prints one line a response with --verbose, and always a closing line of JSON.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file

from reference import load_model, rounded, token_log_probs, versions


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--adapter", required=True, type=Path)
    parser.add_argument("--scores", required=True, type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-3, help="nats per token")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows = [json.loads(line) for line in options.scores.read_text().splitlines() if line.strip()]
    if not rows:
        fail(f"Cannot check the adapter as {options.scores} has no lines")
    model = PeftModel.from_pretrained(load_model(options.model), options.adapter).eval()
    stored = load_file(options.adapter / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model)
    if set(stored) != set(loaded):
        fail(f"Cannot use the adapter as its tensors are not the model's: {sorted(set(stored) ^ set(loaded))[:5]}")
    unequal = [name for name in stored if not torch.equal(stored[name].float(), loaded[name].float())]
    if unequal:
        fail(f"Cannot use the adapter as these tensors did not arrive: {unequal[:5]}")

    worst = {"sum": 0.0, "mean": 0.0, "without_adapter_mean": 0.0}
    for index, row in enumerate(rows):
        tokens = len(row["token_ids"])
        if tokens == 0:
            fail(f"Cannot score line {index + 1} as its token_ids are empty")
        with torch.no_grad():
            theirs = token_log_probs(model, row["prompt_token_ids"], row["token_ids"]).double().sum().item()
            with model.disable_adapter():
                base = token_log_probs(model, row["prompt_token_ids"], row["token_ids"]).double().sum().item()
        difference = abs(theirs - row["log_prob"])
        if difference != difference:
            fail(f"Cannot compare line {index + 1} as a log-probability is not a number: {row['log_prob']} here, {theirs} in peft")
        worst["sum"] = max(worst["sum"], difference)
        worst["mean"] = max(worst["mean"], difference / tokens)
        worst["without_adapter_mean"] = max(worst["without_adapter_mean"], abs(base - row["log_prob"]) / tokens)
        if options.verbose:
            print(f"{index + 1}: {tokens} tokens, log_prob {row['log_prob']:.6f}, peft {theirs:.6f}, difference {difference:.2e}, without the adapter {base:.6f}")

    good = worst["mean"] <= options.tolerance
    print(json.dumps({
        "ok": good, "responses": len(rows), "tensors": len(stored), "tolerance_mean": options.tolerance,
        "max_difference": rounded(worst, 3), "versions": versions("torch", "transformers", "peft"),
    }))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
