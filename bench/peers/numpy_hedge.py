"""Multiplicative weights on a random game in NumPy, the plain way: a peer of game_dynamics.ts.

    python numpy_hedge.py --game FILE --size N --dtype float64

FILE holds the N x N preferences as float64, little-endian. A run is `run ROUNDS`.
"""

import argparse
import time

import numpy as np
from protocol import peak_rss_mib, serve


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--game", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--dtype", choices=["float32", "float64"], required=True)
    options = parser.parse_args()
    n = options.size
    exact = np.fromfile(options.game, "<f8").reshape(n, n)
    preferences = exact.astype(options.dtype)

    def run(rounds):
        rounds = int(rounds)
        eta = np.sqrt(8 * np.log(n) / rounds)
        start = time.perf_counter()
        log_weights = np.zeros(n, options.dtype)
        total = np.zeros(n)
        for _ in range(rounds):
            weights = np.exp(log_weights - log_weights.max())
            mixture = weights / weights.sum()
            total += mixture
            log_weights += eta * (preferences @ mixture)
        seconds = time.perf_counter() - start
        gap = float((exact @ (total / rounds)).max() - 0.5)
        return {"seconds": round(seconds, 4), "gap": gap, "peak_rss_mib": peak_rss_mib()}

    serve(run, {"versions": {"numpy": np.__version__}})


if __name__ == "__main__":
    main()
