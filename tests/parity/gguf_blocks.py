"""Random blocks of every GGUF encoding and what the `gguf` package makes of them.

Makes data/gguf_blocks.json: of each encoding the bytes of some blocks (base64) and their elements as
float32 (base64, little-endian); and some floats with the Q8_0 blocks that the package makes of them.

Command:  python tests/parity/gguf_blocks.py

The blocks: random bytes, with float16 scales drawn from [-2, 2]; then edge patterns: all bytes 0, all
bits set in the codes with scales of 1, the smallest subnormal and the largest float16 as scale, a
negative zero, an infinite scale. Where infinity meets a code of 0 the result is not a number.
"""

import base64

import gguf
import numpy as np

from reference import DATA, versions, write_json

SEED = 20240500675
RANDOM = 6

# encoding: bytes of a block, positions of its float16 numbers
LAYOUT = {
    "Q8_0": (34, [0]),
    "Q4_0": (18, [0]),
    "Q4_1": (20, [0, 2]),
    "Q5_0": (22, [0]),
    "Q5_1": (24, [0, 2]),
    "IQ4_NL": (18, [0]),
    "Q2_K": (84, [80, 82]),
    "Q3_K": (110, [108]),
    "Q4_K": (144, [0, 2]),
    "Q5_K": (176, [0, 2]),
    "Q6_K": (210, [208]),
}
EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x7BFF, 0xFBFF, 0x7C00]


def blocks(rng, size, scales):
    rows = rng.integers(0, 256, (RANDOM, size), dtype=np.uint8)
    for at in scales:
        values = rng.uniform(-2, 2, RANDOM).astype(np.float16)
        rows[:, at : at + 2] = values.view(np.uint8).reshape(RANDOM, 2)
    edges = [np.zeros(size, np.uint8)]
    for pattern in (0xFF, None):
        for bits in EDGES if pattern is None else [0x3C00]:
            row = np.full(size, 0xFF, np.uint8) if pattern else rng.integers(0, 256, size, dtype=np.uint8)
            for at in scales:
                row[at : at + 2] = [bits & 255, bits >> 8]
            edges.append(row)
    return np.concatenate([rows, np.stack(edges)])


def main():
    rng = np.random.default_rng(SEED)
    out = {"versions": versions("gguf", "numpy"), "encodings": {}}
    for name, (size, scales) in LAYOUT.items():
        kind = gguf.GGMLQuantizationType[name]
        assert gguf.GGML_QUANT_SIZES[kind][1] == size
        rows = blocks(rng, size, scales)
        with np.errstate(invalid="ignore", over="ignore"):
            values = gguf.dequantize(rows.reshape(-1), kind).astype("<f4")
        out["encodings"][name.lower()] = {
            "bytes": base64.b64encode(rows.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    floats = np.concatenate([rng.normal(0, 1, (4, 32)), rng.normal(0, 1e-6, (1, 32)), np.zeros((1, 32))]).astype("<f4")
    floats[3] = np.round(floats[3] * 127) / 254  # halves between two codes
    floats[3, 0] = 0.5
    quantized = gguf.quantize(floats, gguf.GGMLQuantizationType.Q8_0)
    out["q8_0_of_floats"] = {
        "values": base64.b64encode(floats.tobytes()).decode(),
        "bytes": base64.b64encode(quantized.tobytes()).decode(),
    }
    write_json(DATA / "gguf_blocks.json", out)


main()
