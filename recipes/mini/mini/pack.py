"""Encoded samples to packed batches of fixed shapes.

Rows of one length per batch, several samples to a row with positions restarted; a sample goes to the shortest rows it fits. Must not know
what the samples mean.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch

from .model import Batch, Config

LENGTHS = (128, 256, 512, 1024, 2048, 4608)
PATCHES = 144  # in a row of images: one of 168 px square, or four of 84
PAD = 11


def rows_of(length: int, tokens: int) -> int:
    return max(1, tokens // length)


class Packer:
    """Draws samples until one kind of rows can be filled, then gives that batch; nothing is dropped but what fits no row."""

    def __init__(self, stream: Iterator, tokens: int, c: Config):
        self.stream, self.tokens, self.c = stream, tokens, c
        self.pools: dict[int, list] = {length: [] for length in LENGTHS}
        self.too_long: Counter[str] = Counter()
        self.fill = (0, 0)  # tokens placed, places

    def __iter__(self):
        return self

    def __next__(self) -> Batch:
        for sample in self.stream:
            n = len(sample.ids)
            length = next((size for size in LENGTHS if n <= size), None)
            if length is None:
                self.too_long[sample.kind] += 1
                continue
            pool = self.pools[length]
            pool.append(sample)
            if sum(len(s.ids) for s in pool) >= 1.1 * length * rows_of(length, self.tokens):
                return self._emit(length)
        return self._rest()

    def _rest(self) -> Batch:
        """What is left of an ended stream, rows not full."""
        for length, pool in self.pools.items():
            if pool:
                return self._emit(length)
        raise StopIteration

    def _emit(self, length: int) -> Batch:
        rows: list[list] = [[] for _ in range(rows_of(length, self.tokens))]
        space = [length] * len(rows)
        capacity, pool = sum(space), self.pools[length]
        total, first = 0, 0
        while first < len(pool) and total + len(pool[first].ids) <= capacity:
            total += len(pool[first].ids)
            first += 1
        # The oldest fill the rows, longest first; what came later, then shorter pools, fill the gaps.
        oldest = sorted(pool[:first], key=lambda s: -len(s.ids))
        self.pools[length] = place(oldest, rows, space) + place(pool[first:], rows, space)
        for shorter in LENGTHS[: LENGTHS.index(length)][::-1]:
            self.pools[shorter] = place(self.pools[shorter], rows, space)
        self.fill = (self.fill[0] + capacity - sum(space), self.fill[1] + capacity)
        return build(rows, length, self.c)


def place(samples: list, rows: list[list], space: list[int]) -> list:
    """Puts each sample into the fullest row that has room; returns those that found none."""
    left = []
    for sample in samples:
        n = len(sample.ids)
        fits = [r for r in range(len(rows)) if space[r] >= n]
        if not fits:
            left.append(sample)
            continue
        best = min(fits, key=lambda r: space[r])
        rows[best].append(sample)
        space[best] -= n
    return left


def build(rows: list[list], length: int, c: Config) -> Batch:
    size = len(rows) * length
    ids = np.full(size, PAD, np.int64)
    segment = np.full(size, -1, np.int32)
    position = np.zeros(size, np.int32)
    sample_of = np.full(size, -1, np.int64)
    target_at, labels, images, image_at = [], [], [], []
    for r, row in enumerate(rows):
        at = r * length
        for d, sample in enumerate(row):
            n = len(sample.ids)
            ids[at : at + n] = sample.ids
            segment[at : at + n] = d
            position[at : at + n] = np.arange(n)
            sample_of[at : at + n] = len(labels)
            labels.append((sample.skill, sample.kind))
            target_at.append(at + np.flatnonzero(sample.loss[1:]))
            if sample.images:
                images += sample.images
                image_at.append(at + np.flatnonzero(sample.ids == c.image_token_id))
            at += n
    at = np.concatenate(target_at) if target_at else np.zeros(0, np.int64)
    batch = Batch(
        rows=len(rows), length=length, ids=torch.from_numpy(ids), segment=torch.from_numpy(segment.reshape(len(rows), length)),
        position=torch.from_numpy(position), target_at=torch.from_numpy(at), target=torch.from_numpy(ids[at + 1]),
        sample=torch.from_numpy(sample_of), valid=torch.from_numpy((segment >= 0).astype(np.float32)), labels=labels,
    )  # fmt: skip
    if images:
        add_images(batch, images, np.concatenate(image_at), c)
    return batch


def add_images(batch: Batch, images: list[np.ndarray], image_at: np.ndarray, c: Config) -> None:
    """Cuts images [3, H, W] into patches and packs them into rows, in order of appearance as far as `merge_from` says."""
    p, m = c.patch_size, c.spatial_merge_size
    grids = [(image.shape[1] // p, image.shape[2] // p) for image in images]
    length = max(PATCHES, max(h * w for h, w in grids))
    space: list[int] = []
    starts = []
    for h, w in grids:
        row = next((r for r, free in enumerate(space) if free >= h * w), len(space))
        if row == len(space):
            space.append(length)
        starts.append(row * length + length - space[row])
        space[row] -= h * w
    total = len(space) * length
    patches = np.zeros((total, 3 * p * p), np.float32)
    segment, row, column = np.full(total, -1, np.int32), np.zeros(total, np.int32), np.zeros(total, np.int32)
    merge = []
    for i, (image, (h, w), at) in enumerate(zip(images, grids, starts, strict=True)):
        here = slice(at, at + h * w)
        patches[here] = image.reshape(3, h, p, w, p).transpose(1, 3, 0, 2, 4).reshape(h * w, -1)
        segment[here], row[here], column[here] = i, np.repeat(np.arange(h), w), np.tile(np.arange(w), h)
        merge.append(at + np.arange(h * w).reshape(h // m, m, w // m, m).transpose(0, 2, 1, 3).reshape(-1, m * m))
    shape = (len(space), length)
    batch.patches = torch.from_numpy(patches.reshape(*shape, -1))
    batch.patch_segment = torch.from_numpy(segment.reshape(shape))
    batch.patch_row, batch.patch_column = torch.from_numpy(row.reshape(shape)), torch.from_numpy(column.reshape(shape))
    batch.merge_from, batch.image_at = torch.from_numpy(np.concatenate(merge)), torch.from_numpy(image_at)
