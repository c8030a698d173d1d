"""Times the steps of TRL's `DPOTrainer` (loss_type `sppo_hard`) over given pairs, in their order.

The same adapter (rank 16, alpha 32, all seven linear layers), float32, threads and optimizer as
torch_step.py. A step is the trainer's own: the policy's forward and backward pass,
the reference's forward pass (the model with its adapter off, unless --precompute), AdamW, metrics.

Command:  python bench/peers/trl_step.py [--ids FILE] [--model PATH] [--pairs-a-step 4] [--save-adapter DIR]
              [--precompute] [--lr 1e-5] [--threads 2]

Speaks the line protocol of protocol.py: `run` is a step, {"seconds", "loss", "peak_rss_mib"}. One
forward and backward pass over the first pairs goes before the first step, and does not count.

The winner's target is +η/2 and the loser's −η/2 (P is 1 and 0, whatever `win_rate` says), and the two
errors of a pair are summed. TRL's defaults of bfloat16, gradient checkpointing and gradient clipping
are off, so that it does the same arithmetic as ours.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from protocol import answer, commands, peak_rss_mib

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import DPOConfig, DPOTrainer

from reference import SMOLLM2, SMOLLM2_GGUF, load_model, rounded, versions
from torch_step import LINEAR, random_groups


class Trainer(DPOTrainer):
    """A DPOTrainer whose data are token ids already, and which keeps its last loss."""

    last_loss = float("nan")

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self.last_loss = loss.item()
        return loss


class LineProtocol(TrainerCallback):
    """Waits before each step for `run`, and answers after it."""

    def __init__(self, ready):
        self.ready = ready
        self.commands = commands()
        self.trainer = None
        self.start = None

    def on_train_begin(self, *_, model, train_dataloader, **__):
        inputs = self.trainer._prepare_inputs(next(iter(train_dataloader)))
        self.trainer.compute_loss(model, inputs).backward()
        model.zero_grad()
        answer({"ready": True, **self.ready})

    def on_step_begin(self, *_, **__):
        if next(self.commands, None) is None:
            sys.exit(0)
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        seconds = time.perf_counter() - self.start
        answer({"seconds": round(seconds, 4), "loss": rounded(self.trainer.last_loss), "peak_rss_mib": peak_rss_mib()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--model", type=Path, default=SMOLLM2_GGUF)
    parser.add_argument("--pairs-a-step", type=int, help="all of them when not given")
    parser.add_argument("--save-adapter", type=Path, help="where to store the starting adapter, so that ours can start from the same")
    parser.add_argument("--precompute", action="store_true", help="log-probabilities of the reference before the first step, not timed")
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)

    data = json.loads(options.ids.read_text()) if options.ids else random_groups()
    pairs = [
        {"prompt_ids": g["prompt_ids"], "chosen_ids": g["responses"][0]["ids"], "rejected_ids": g["responses"][1]["ids"]}
        for g in data["groups"]
    ]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(SMOLLM2 / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|im_end|>")
    protocol = LineProtocol({
        "versions": versions("torch", "transformers", "peft", "trl"),
        "pairs": len(pairs), "threads": options.threads, "precompute": options.precompute,
    })
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=load_model(options.model),
            args=DPOConfig(
                output_dir=folder, loss_type=["sppo_hard"], beta=1 / data["eta"], max_length=None,
                precompute_ref_log_probs=options.precompute,
                per_device_train_batch_size=options.pairs_a_step or len(pairs), train_sampling_strategy="sequential",
                num_train_epochs=1_000_000, learning_rate=options.lr,
                lr_scheduler_type="constant", weight_decay=0.01, max_grad_norm=0.0,
                optim="adamw_torch_fused", use_cpu=True,
                bf16=False, gradient_checkpointing=False, dataloader_pin_memory=False,
                logging_steps=1_000_000, save_strategy="no", report_to="none", disable_tqdm=True, seed=0,
            ),
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEAR, task_type="CAUSAL_LM"),
            callbacks=[protocol],
        )
        protocol.trainer = trainer
        if options.save_adapter:
            trainer.model.save_pretrained(options.save_adapter)
        trainer.train()


if __name__ == "__main__":
    main()
