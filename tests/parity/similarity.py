"""Similarity of answers and references, by rouge-score, sacrebleu and SQuAD's evaluation.

Writes data/similarity.json: a list of {"answer", "reference", "rouge_l", "chrf", "normalized"}, where
rouge_l is the F-measure of rougeL without stemmer, chrf sacrebleu's sentence score over 100, and
normalized SQuAD's normalize_answer of the answer (evaluate-v1.1.py, copied below). Texts are ASCII
where rouge_l is given: beyond it rouge-score takes letters for breaks.

    pip install rouge-score==0.1.2 sacrebleu==2.6.0
    python tests/parity/similarity.py
"""

import json
import random
import re
import string
from pathlib import Path

from rouge_score import rouge_scorer
from sacrebleu.metrics import CHRF


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        return "".join(ch for ch in text if ch not in set(string.punctuation))

    return white_space_fix(remove_articles(remove_punc(s.lower())))


PAIRS = [
    ("The cat sat on the mat.", "A cat is sitting on the mat."),
    ("", "a reference"),
    ("an answer", ""),
    ("same text, the same", "same text, the same"),
    ("THE U.S. won't; can't", "the us will not, cannot"),
    ("a the an theory", "theory"),
    ("repeat repeat repeat repeat", "repeat once"),
    ("tabs\tand\nnew lines  here", "tabs and new lines here"),
    ("short", "a much longer reference than the answer that was given"),
    ("x", "y"),
    ("ab", "abc"),
    ("3.14 is pi; 2.718 is e", "pi is 3.14 and e is 2.718"),
    ("snake_case and the-hyphen", "snake case and the hyphen"),
]
WIDE = [
    ("Ein schöner Tag für Käse", "Der schöne Tag: Käse!"),
    ("日本語の答え", "日本語の答えです"),
    ("🙂 fine 🙂", "🙂 all fine"),
    ("Él, the «quote» — dash", "Él quote"),
]


def main():
    draw = random.Random(0)
    words = "the a of red green blue cat dog runs sat quickly and, . never-ending 42 don't".split(" ")
    for _ in range(30):
        PAIRS.append(tuple(" ".join(draw.choices(words, k=draw.randint(1, 14))) for _ in range(2)))
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    chrf = CHRF()
    rows = []
    for answer, reference in PAIRS + WIDE:
        row = {"answer": answer, "reference": reference}
        if answer.isascii() and reference.isascii():
            row["rouge_l"] = rouge.score(reference, answer)["rougeL"].fmeasure
        row["chrf"] = chrf.sentence_score(answer, [reference]).score / 100
        row["normalized"] = normalize_answer(answer)
        rows.append(row)
    path = Path(__file__).parent / "data" / "similarity.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


main()
