"""Random tokens in the shapes of real samples, to measure speed and test the machinery without data."""

from collections.abc import Callable, Iterator

import numpy as np

from .sample import Encoded


def stream(seed: int, worker: int, progress: Callable[[], float], split: str = "train") -> Iterator[Encoded]:
    rng = np.random.default_rng((seed, worker, len(split)))
    while True:
        n = int(rng.choice([rng.integers(24, 110), rng.integers(130, 250), rng.integers(260, 500)], p=[0.8, 0.12, 0.08]))
        ids = rng.integers(40, 4096, n).astype(np.int32)
        images = []
        if rng.random() < 0.15 and n > 40:
            h, w = (int(x) for x in rng.integers(2, 5, 2))
            ids[5 : 5 + h * w] = 10
            images = [rng.standard_normal((3, 28 * h, 28 * w)).astype(np.float32)]
        loss = np.arange(n) >= 0.7 * n
        yield Encoded(ids, loss, images, f"skill{rng.integers(3)}", f"kind{rng.integers(5)}")
