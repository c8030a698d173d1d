"""Reference numbers of the objectives: losses, rewards, metrics and gradients of TRL and of the papers' code.

Makes:
  data/objectives.json   a batch of pairs as log-probabilities, and what each implementation makes of it
  data/trl_steps.json    three optimizer steps of TRL's DPOTrainer on data/tiny_llama

Command:  python tests/parity/objectives.py --sppo SPPO/sppo/trainer.py --spin SPIN/spin/alignment/trainer.py

The two files are from github.com/uclaml/SPPO (5e61c4e) and github.com/uclaml/SPIN; the one function
that computes a loss is taken out of each and run as it is. TRL's are the methods of its trainers, run
on an object that holds just what they read. Everything is float64, but TRL's ORPO, which computes in
float32, and the steps of the trainer, which are float32.

Conventions. `log_probs` are sums over response tokens, [pair][chosen, rejected]; `tokens` their
numbers; `reference` the log-probabilities of the fixed policy. A `gradient` is that of the mean loss by
`log_probs`. A loss that TRL takes of mean log-probabilities gets those, and its gradient is by the sums.
"""

import argparse
import ast
import contextlib
import io
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Tuple, Union

import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from trl import DPOConfig, DPOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

from reference import DATA, rounded, token_log_probs, versions, write_json

DIGITS = 12
STEPS = 3
LEARNING_RATE = 1e-3
BETA = 0.1


def function_of(path, name):
    """A method of a file, as a function of its own."""
    tree = ast.parse(Path(path).read_text())
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    node.decorator_list = []
    scope = {"torch": torch, "F": F, "Tuple": Tuple, "Union": Union}
    exec(compile(ast.Module([node], []), str(path), "exec"), scope)
    return scope[name]


ACCELERATOR = SimpleNamespace(
    device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x
)


def batch():
    generator = torch.Generator().manual_seed(20240500675)
    tokens = torch.tensor([[4, 7], [9, 2], [6, 5], [1, 3]])
    per_token = -torch.rand(4, 2, 9, generator=generator, dtype=torch.float64) * 3 - 0.05
    mask = torch.arange(9) < tokens[..., None]
    shift = 0.3 * torch.randn(4, 2, 9, generator=generator, dtype=torch.float64)
    probabilities = torch.tensor([[0.8, 0.3], [0.65, 0.35], [0.95, 0.55], [0.5, 0.2]], dtype=torch.float64)
    return SimpleNamespace(
        tokens=tokens, mask=mask, per_token=per_token * mask, reference_per_token=(per_token + shift) * mask,
        win_rates=probabilities, chosen_probs=torch.tensor([0.9, 0.7, 0.85, 0.6], dtype=torch.float64),
    )


def entry(losses, rewards, log_probs, metrics=None):
    (gradient,) = torch.autograd.grad(losses.mean(), log_probs)
    return {
        "loss": rounded(losses.mean(), DIGITS),
        "losses": rounded(losses, DIGITS),
        "rewards": rounded(torch.stack(rewards, 1), DIGITS),
        "gradient": rounded(gradient, DIGITS),
        **({} if metrics is None else {"metrics": rounded(metrics, DIGITS)}),
    }


def paper(loss_type, b, sppo_loss, beta, label_smoothing=0.0):
    log_probs = b.per_token.sum(-1).requires_grad_()
    reference = b.reference_per_token.sum(-1)
    self = SimpleNamespace(loss_type=loss_type, beta=beta, label_smoothing=label_smoothing, accelerator=ACCELERATOR)
    losses, chosen, rejected = sppo_loss(
        self, log_probs[:, 0], log_probs[:, 1], reference[:, 0], reference[:, 1],
        chosen_probs=b.chosen_probs, chosen_probs_win=b.win_rates[:, 0], chosen_probs_lose=b.win_rates[:, 1],
    )
    return {"beta": beta, "label_smoothing": label_smoothing, **entry(losses, [chosen, rejected], log_probs)}


def spin(loss_type, b, spin_loss, beta):
    log_probs = b.per_token.sum(-1).requires_grad_()
    reference = b.reference_per_token.sum(-1)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its arguments
        losses, real, generated = spin_loss(
            SimpleNamespace(loss_type=loss_type, beta=beta), log_probs[:, 0], log_probs[:, 1], reference[:, 0], reference[:, 1]
        )
    return {"beta": beta, **entry(losses, [real, generated], log_probs)}


def trl_dpo(loss_type, b, beta, label_smoothing=0.0):
    """DPOTrainer._compute_loss on a model that returns the batch's log-probabilities."""
    per_token = b.per_token.clone().requires_grad_()

    def rows(x):  # chosen rows, then rejected; the first position is the prompt's
        return torch.cat([x[:, 0], x[:, 1]])

    def model(**_):
        log_probs = rows(per_token)
        return SimpleNamespace(
            log_probs=log_probs, entropy=torch.zeros_like(log_probs), mean_logits=torch.zeros_like(log_probs),
            is_top1=torch.zeros_like(log_probs, dtype=torch.bool),
        )

    reference = rows(b.reference_per_token.sum(-1))
    mask = torch.cat([torch.zeros(8, 1, dtype=torch.bool), rows(b.mask)], 1)
    metrics = defaultdict(list)
    self = SimpleNamespace(
        model=SimpleNamespace(training=False), accelerator=ACCELERATOR, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[loss_type], loss_weights=[1.0], beta=beta,
        label_smoothing=label_smoothing, use_weighting=False, _metrics={"eval": metrics}, _total_train_tokens=0, _tp_size=1,
    )
    inputs = {
        "input_ids": torch.zeros_like(mask, dtype=torch.long), "attention_mask": torch.ones_like(mask, dtype=torch.long),
        "completion_mask": mask.long(), "ref_chosen_logps": reference[:4], "ref_rejected_logps": reference[4:],
    }
    loss = DPOTrainer._compute_loss(self, model, inputs, False)
    loss.backward()
    gradient = per_token.grad
    # A sum's gradient reaches each of its tokens; the first always exists.
    names = ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected"]
    return {
        "beta": beta, "label_smoothing": label_smoothing, "loss": rounded(loss, DIGITS),
        "gradient": rounded(gradient[:, :, 0], DIGITS), "metrics": {name: rounded(metrics[name][0], DIGITS) for name in names},
    }


def trl_simpo(b, beta, margin):
    log_probs = b.per_token.sum(-1).requires_grad_()
    means = log_probs / b.tokens
    self = SimpleNamespace(
        alpha=0.0, loss_type="simpo", beta=beta, simpo_gamma=margin, label_smoothing=0.0, accelerator=ACCELERATOR
    )
    losses, chosen, rejected = CPOTrainer.cpo_loss(self, means[:, 0], means[:, 1])
    return {"beta": beta, "margin": margin, **entry(losses, [chosen, rejected], log_probs)}


def trl_orpo(b, beta):
    """The odds ratio is TRL's; the likelihood is that of the response alone, where TRL's has the prompt with it."""
    log_probs = b.per_token.sum(-1).requires_grad_()
    means = log_probs / b.tokens
    self = SimpleNamespace(beta=beta, accelerator=ACCELERATOR)
    odds, chosen, rejected, *_ = ORPOTrainer.odds_ratio_loss(self, means[:, 0], means[:, 1])
    return {"beta": beta, **entry(-means[:, 0] - odds, [chosen, rejected], log_probs)}


def trl_rloo(b, advantages, clip):
    per_token = b.per_token.reshape(8, 9).clone().requires_grad_()
    mask = b.mask.reshape(8, 9)
    self = SimpleNamespace(
        model=SimpleNamespace(training=False), accelerator=ACCELERATOR, aux_loss_enabled=False,
        epsilon_low=clip, epsilon_high=clip, _metrics={"eval": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (per_token, torch.zeros(8, 9), None),
    )
    ids = torch.zeros(8, 9, dtype=torch.long)
    loss = RLOOTrainer._compute_loss(self, None, {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": mask.long(),
        "old_logps": b.reference_per_token.reshape(8, 9).sum(-1), "advantages": advantages.reshape(8),
    })
    loss.backward()
    return {
        "clip": clip, "advantages": rounded(advantages, DIGITS), "loss": rounded(loss, DIGITS),
        "gradient": rounded(per_token.grad[:, 0].reshape(4, 2), DIGITS),
    }


class IdTrainer(DPOTrainer):
    """A DPOTrainer whose data are token ids already, in their order."""

    losses = None

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _get_train_sampler(self, *_):
        return None

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self.losses.append(rounded(loss))
        return loss


def trl_steps(loss_type, groups):
    model = LlamaForCausalLM.from_pretrained(DATA / "tiny_llama", dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({str(i): i for i in range(67)}, unk_token="0")), eos_token="2", pad_token="2"
    )
    pairs = [
        {"prompt_ids": g["prompt_ids"], "chosen_ids": g["responses"][0]["ids"], "rejected_ids": g["responses"][1]["ids"]}
        for g in groups
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = IdTrainer(
            model=model, ref_model=LlamaForCausalLM.from_pretrained(DATA / "tiny_llama", dtype=torch.float32),
            args=DPOConfig(
                output_dir=folder, loss_type=[loss_type], beta=BETA, max_length=None,
                per_device_train_batch_size=len(pairs), max_steps=STEPS, learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=1.0, optim="adamw_torch", use_cpu=True,
                bf16=False, gradient_checkpointing=False, dataloader_pin_memory=False,
                logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, seed=0,
            ),
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
        )
        trainer.losses = []
        trainer.train()
        logs = [
            {name: entry[name] for name in ("grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins",
                                           "rewards/accuracies", "logps/chosen", "logps/rejected")}
            for entry in trainer.state.log_history if "rewards/chosen" in entry
        ]
    model.eval()
    with torch.no_grad():
        after = [[rounded(token_log_probs(model, g["prompt_ids"], r["ids"]).sum()) for r in g["responses"]] for g in groups]
    return {"losses": trainer.losses, "logs": rounded(logs), "log_probs": after}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sppo", required=True, type=Path)
    parser.add_argument("--spin", required=True, type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sppo_loss = function_of(options.sppo, "sppo_loss")
    spin_loss = function_of(options.spin, "spin_loss")
    b = batch()
    advantages = torch.tensor([[1.5, -1.5], [0.2, -0.2], [-0.7, 0.7], [2.0, -2.0]], dtype=torch.float64)
    write_json(DATA / "objectives.json", {
        "made_by": "tests/parity/objectives.py",
        "versions": versions("torch", "trl"),
        "tokens": b.tokens.tolist(),
        "log_probs": rounded(b.per_token.sum(-1), DIGITS),
        "reference": rounded(b.reference_per_token.sum(-1), DIGITS),
        "win_rates": b.win_rates.tolist(),
        "chosen_probs": b.chosen_probs.tolist(),
        "sppo_repository": {
            "sppo": paper("sppo", b, sppo_loss, 1e-3),
            "sppo_single": paper("sppo_single", b, sppo_loss, 0.05),
            "sigmoid": paper("sigmoid", b, sppo_loss, 0.1),
            "sigmoid_smoothed": paper("sigmoid", b, sppo_loss, 0.1, 0.2),
            "hinge": paper("hinge", b, sppo_loss, 1.3),
            "ipo": paper("ipo", b, sppo_loss, 0.1),
            "kto_pair": paper("kto_pair", b, sppo_loss, 0.4),
        },
        "spin_repository": {
            "sigmoid": spin("sigmoid", b, spin_loss, 0.1),
            "hinge": spin("hinge", b, spin_loss, 1.3),
        },
        "trl": {
            "sigmoid": trl_dpo("sigmoid", b, 0.1),
            "hinge": trl_dpo("hinge", b, 1.3),
            "robust": trl_dpo("robust", b, 0.1, 0.2),
            "ipo": trl_dpo("ipo", b, 0.1),
            "sppo_hard": trl_dpo("sppo_hard", b, 0.1),
            "simpo": trl_simpo(b, 2.0, 0.5),
            "orpo": trl_orpo(b, 0.1),
            "rloo": trl_rloo(b, advantages, 0.2),
        },
    })
    groups = json.loads((DATA / "tiny_llama_lora.json").read_text())["groups"]
    write_json(DATA / "trl_steps.json", {
        "made_by": "tests/parity/objectives.py",
        "versions": versions("torch", "transformers", "trl"),
        "beta": BETA, "learning_rate": LEARNING_RATE, "steps": STEPS, "max_grad_norm": 1.0,
        "runs": {loss_type: trl_steps(loss_type, groups) for loss_type in ("sigmoid", "ipo", "sppo_hard")},
    })


if __name__ == "__main__":
    main()
