"""Token ids of the tokenizers of every family, on two small vocabularies: `tokenizers`.

Makes data/tokenizers.json: two vocabularies with their merges, one of bytes and one of pieces as
SentencePiece has them, the steps that each family puts around one of them (normalizer, pre-tokenizer,
post-processor, decoder, as in the `tokenizer.json` of the published models), and what these make of some
texts: ids, ids with special tokens added, and the text that the ids decode to.

Command:  python tests/parity/family_tokenizers.py

Merges of the pieces are all pairs of pieces whose join is a piece, best piece first, as transformers
makes them of a SentencePiece model: so that merging by scores, as llama.cpp does, gives the same ids.
"""

import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

DATA = Path(__file__).resolve().parent / "data"

CORPUS = """The policy answers each prompt and the judge compares what it said with the other answers.
We'll see that it's the winner's own likelihood which rises, they've said so, I'm sure, he'd agree.
In 2024 there were 1234567 tokens, 3.14159 of them, and 20 prompts in 1999; see page 42 of 365.
Déjà vu: naïve café, façade, Ünïcode. Привет, мир. 你好，世界。こんにちは世界 안녕하세요.
def main():\n    return [x ** 2 for x in range(10)]\n\n\tif a != b: print("no")\n
The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX. camelCase snake_case HTTPServer
""" * 4

TEXTS = [
    "The policy answers the prompt.",
    " leading space, trailing space ",
    "two  spaces   three    four\t\ttabs",
    "It's, it'S, we'LL, I'm, he'D they'Ve 'tis",
    "1 12 123 1234 12345 1234567 3.14 ١٢٣ ½ ²",
    "line one\nline two\r\n\r\nline four\n\n\n  indented\n",
    "naïve cafe\u0301 e\u0301 déjà Ünïcode",
    "你好，世界。こんにちは 안녕하세요 Привет",
    "emoji 👍🏽 family 👩‍👩‍👧 flag 🇫🇷",
    "camelCase snake_case HTTPServer XMLHttpRequest2 iOS",
    "def f(x):\n    return x**2 # comment\n",
    "!!! ... ?!? -- 'quoted' \"double\" (a) [b] {c} <d>",
    "hello world hello",
    "<s>literal</s> special<s>",
    "\u00a0no-break\u2009thin\u3000wide",
    "a",
    " ",
    "\n",
    "",
]

WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|%s| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
TEKKEN = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
          "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def words(regex):
    split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, byte_level(False)]}


BOS = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PIECES_DECODER = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}

# family: vocabulary, what llama.cpp calls it (`tokenizer.ggml.pre`, or what differs in its metadata), steps
FAMILIES = {
    "gpt2": ("bytes", {"pre": "gpt-2"}, dict(pre_tokenizer=byte_level(True), decoder=byte_level(True))),
    "llama3": ("bytes", {"pre": "llama-bpe"}, dict(
        pre_tokenizer=words(WORDS % "\\p{N}{1,3}"), decoder=byte_level(True), ignore_merges=True,
        post_processor={"type": "Sequence", "processors": [byte_level(True), BOS]})),
    "qwen2": ("bytes", {"pre": "qwen2"}, dict(
        normalizer={"type": "NFC"}, pre_tokenizer=words(WORDS % "\\p{N}"), decoder=byte_level(False),
        post_processor=byte_level(False))),
    "mistral_nemo": ("bytes", {"pre": "tekken"}, dict(
        pre_tokenizer=words(TEKKEN), decoder=byte_level(True), ignore_merges=True, post_processor=BOS)),
    "llama2": ("pieces", {}, dict(
        normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, SPACES]},
        decoder={"type": "Sequence", "decoders": [*PIECES_DECODER, STRIP]}, post_processor=BOS)),
    "mistral": ("pieces", {}, dict(
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        decoder={"type": "Sequence", "decoders": [*PIECES_DECODER, STRIP]}, post_processor=BOS)),
    "gemma": ("pieces", {"add_space_prefix": False}, dict(
        normalizer=SPACES,
        pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        decoder={"type": "Sequence", "decoders": PIECES_DECODER}, post_processor=BOS)),
}


def trained(pieces):
    tokenizer = Tokenizer(models.BPE())
    if pieces:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        trainer = trainers.BpeTrainer(vocab_size=260, show_progress=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=470, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([CORPUS], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(merge) for merge in model["merges"]]


def vocabularies():
    tokens, merges = trained(pieces=False)
    # A word that no merges make: taken whole only where merges are ignored.
    tokens = ["<unk>", "<s>", "</s>", *tokens, "Ġhello"]
    bytes_ = {"tokens": tokens, "merges": [list(merge) for merge in merges]}

    tokens, merges = trained(pieces=True)
    made = ["".join(merge) for merge in merges]
    single = [token for token in tokens if token not in made]
    tokens = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)], *made, *single]
    rank = {token: index for index, token in enumerate(tokens)}
    pairs = [(token[:at], token[at:]) for token in made for at in range(1, len(token))]
    pairs = [pair for pair in pairs if pair[0] in rank and pair[1] in rank]
    pairs.sort(key=lambda pair: (rank["".join(pair)], rank[pair[0]], rank[pair[1]]))
    return {"bytes": bytes_, "pieces": {"tokens": tokens, "merges": [list(pair) for pair in pairs]}}


def description(vocabulary, pieces, steps):
    special = [{"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for index, token in enumerate(vocabulary["tokens"][:3])]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": steps.get("normalizer"), "pre_tokenizer": steps.get("pre_tokenizer"),
        "post_processor": steps.get("post_processor"), "decoder": steps["decoder"],
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>" if pieces else None,
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": pieces,
            "byte_fallback": pieces, "ignore_merges": steps.get("ignore_merges", False),
            "vocab": {token: index for index, token in enumerate(vocabulary["tokens"])},
            "merges": vocabulary["merges"],
        },
    }


def main():
    both = vocabularies()
    result = {"made_by": "tests/parity/family_tokenizers.py", "versions": {"tokenizers": tokenizers.__version__},
              "vocabularies": both, "texts": TEXTS, "families": {}}
    for name, (vocabulary, metadata, steps) in FAMILIES.items():
        tokenizer = Tokenizer.from_str(json.dumps(description(both[vocabulary], vocabulary == "pieces", steps)))
        plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        special = tokenizer.encode(TEXTS[0], add_special_tokens=True).ids
        result["families"][name] = {
            "vocabulary": vocabulary, "gguf": metadata, "steps": steps, "ids": plain, "first_with_special": special,
            "decoded": [tokenizer.decode(ids, skip_special_tokens=False) for ids in plain],
        }
        print(name, sum(map(len, plain)), "tokens")
    (DATA / "tokenizers.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
    print((DATA / "tokenizers.json").stat().st_size)


if __name__ == "__main__":
    main()
