"""Packing, the optimiser, states, and that a resumed run equals an uninterrupted one."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from mini import fake, state
from mini.curve import read, svg
from mini.model import Config, parameters
from mini.optimiser import orthogonalise, owners
from mini.pack import LENGTHS, Packer

ROOT = Path(__file__).resolve().parent.parent


def train(directory: Path, *extra: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mini.train", "--state", str(directory), "--fake", "--no-compile", "--processes", "1", "--device", "cpu",
               "--batch-tokens", "256", "--save-steps", "2", "--eval-batches", "1", "--warmup", "2", *extra]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


class Training(unittest.TestCase):
    def test_packing_keeps_every_sample_once(self):
        source = fake.stream(3, 0, lambda: 0.0)
        given = [next(source) for _ in range(200)]
        packer = Packer(iter(given), 1024, Config())
        seen = []
        for batch in packer:
            assert batch.length in LENGTHS
            sample, segment = batch.sample.numpy(), batch.segment.numpy().ravel()
            for i in range(len(batch.labels)):
                rows = np.flatnonzero(sample == i)
                assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1)) and len(set(segment[rows])) == 1
                assert np.array_equal(batch.position.numpy()[rows], np.arange(len(rows)))
                seen.append(tuple(batch.ids.numpy()[rows]))
            assert torch.equal(batch.target, batch.ids[batch.target_at + 1])
            assert torch.equal(batch.sample[batch.target_at], batch.sample[batch.target_at + 1])
            assert (batch.patches is None) == (not (batch.ids == 10).any())
            if batch.patches is not None:
                assert torch.equal(batch.image_at.sort().values, torch.nonzero(batch.ids == 10).flatten())
        assert sorted(seen) == sorted(tuple(s.ids) for s in given)

    def test_targets_are_the_tokens_with_loss(self):
        source = fake.stream(4, 0, lambda: 0.0)
        given = [next(source) for _ in range(60)]
        total = sum(len(batch.target) for batch in Packer(iter(given), 1024, Config()))
        assert total == sum(int(s.loss[1:].sum()) for s in given)

    def test_orthogonalise_flattens_singular_values(self):
        x = torch.randn(4, 24, 48, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalise(x).float())
        assert values.min() > 0.5 and values.max() < 1.4

    def test_each_tensor_has_one_owner_and_work_is_even(self):
        table = parameters(Config())
        owner = owners(table, 2)
        assert owner.keys() == table.keys()
        load = [sum(torch.Size(table[n].shape).numel() for n in table if owner[n] == r and table[n].rule == "matrix") for r in (0, 1)]
        assert min(load) / max(load) > 0.9

    def test_a_resumed_run_equals_one_in_one_piece(self):
        with tempfile.TemporaryDirectory() as place:
            tmp_path = Path(place)
            train(tmp_path / "whole", "--steps", "4")
            _, p, whole = state.load(tmp_path / "whole" / "constant.pt")
            train(tmp_path / "parts", "--steps", "2")
            assert state.load(tmp_path / "parts" / "constant.pt")[1].step == 2
            train(tmp_path / "parts", "--resume", "--steps", "4")
            _, q, parts = state.load(tmp_path / "parts" / "constant.pt")
            assert (p.step, p.tokens, p.block) == (q.step, q.tokens, q.block) and p.step == 4
            assert all(torch.equal(whole[name], parts[name]) for name in whole)
            train(tmp_path / "parts", "--decay", "--decay-tokens", "300")
            _, d, _ = state.load(tmp_path / "parts" / "decay.pt")
            assert d.phase == "decay" and d.tokens > q.tokens and d.decay_from["step"] == q.step
            assert state.load(tmp_path / "parts" / "constant.pt")[1].step == q.step
            assert svg(read(tmp_path / "parts" / "log.jsonl")).startswith("<svg")


if __name__ == "__main__":
    unittest.main()
