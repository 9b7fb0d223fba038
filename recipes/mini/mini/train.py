"""Trains `mini`: `python -m mini.train`. See ../README.md for the phases.

Processes share weights and gradient buffers; each computes its own batches on one thread and updates the tensors it owns.
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

import torch
import torch.multiprocessing as mp

from . import state
from .model import Config, Model, initialise, parameters, views
from .optimiser import Buffers, Optimiser, Rates
from .pack import Packer
from .report import Log, Tally, expert_summary

HERE = Path(__file__).resolve().parent.parent
# Keeps freed blocks in the process (page faults cost 10 % and more) and compiled CPU kernels for every row count.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "8192",
    "OMP_NUM_THREADS": "1",
}

# After a short constant phase the data go on getting harder; the last part of the decay has them as they are in the end.
DECAY_RISE = 0.6


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="mini.train", description=__doc__)
    p.add_argument("--state", type=Path, default=HERE / "run", help="directory of states and log")
    p.add_argument("--resume", action="store_true", help="go on from the state there")
    p.add_argument("--from", dest="start", type=Path, help="begin with the weights of an exported checkpoint, fresh optimiser")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tokens", type=float, default=200e6, help="the constant phase ends here")
    p.add_argument("--steps", type=int, default=0, help="stop, to be resumed, after this many steps in all; 0: no limit")
    p.add_argument("--curriculum", type=float, default=40e6, help="tokens over which the data move from easy to final")
    p.add_argument("--level", type=float, help="hold the data at this place between easy (0) and final (1)")
    p.add_argument("--decay", action="store_true", help="run the decay phase from the constant phase's state")
    p.add_argument("--again", action="store_true", help="with --decay: from the decayed state, whose rate rises once more")
    p.add_argument("--decay-tokens", type=float, default=15e6)
    p.add_argument("--decay-minutes", type=float, help="instead of --decay-tokens")
    p.add_argument("--batch-tokens", type=int, default=4096, help="of one batch of one process")
    p.add_argument("--batches", type=int, default=1, help="batches a step and process")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--save-steps", type=int, default=400)
    p.add_argument("--save-minutes", type=float, default=8.0)
    p.add_argument("--eval-minutes", type=float, default=6.0)
    p.add_argument("--eval-batches", type=int, default=12, help="per process")
    p.add_argument("--log-seconds", type=float, default=30.0)
    p.add_argument("--matrix-rate", type=float, default=Rates.matrix)
    p.add_argument("--vector-rate", type=float, default=Rates.vector)
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--fake", action="store_true", help="random tokens, to measure speed without data")
    a = p.parse_args()
    a.decay_minutes = a.decay_minutes or 0.0
    return a


@dataclass
class Shared:
    """What processes see of each other."""

    buffers: Buffers
    numbers: torch.Tensor  # f64 [processes, 3]: targets, squared norm, tokens of this step
    orders: torch.Tensor  # int64 [4]: stop, save, evaluate, log, decided by the first process
    stop: torch.Tensor  # int64 [1]: asked to stop
    queue: object
    barrier: object


STOP, SAVE, EVALUATE, LOG = range(4)


def factor(a: argparse.Namespace, p: state.Progress) -> float:
    """The schedule: warm-up, constant, and in the decay phase linear to 2 %."""
    warm = min(1.0, (p.step + 1) / a.warmup)
    return warm if p.phase == "constant" else max(0.02, 1.0 - 0.98 * done(a, p))


def done(a: argparse.Namespace, p: state.Progress) -> float:
    """The share of the phase that is behind us."""
    if p.phase == "constant":
        return min(1.0, p.tokens / a.tokens)
    if a.decay_minutes:
        return min(1.0, (p.seconds - p.decay_from["seconds"]) / (60 * a.decay_minutes))
    return min(1.0, (p.tokens - p.decay_from["tokens"]) / a.decay_tokens)


def curriculum(a: argparse.Namespace, p: state.Progress) -> float:
    """How far the data have moved from easy to final."""
    if a.level is not None:
        return a.level
    if p.phase == "constant":
        return min(1.0, p.tokens / a.curriculum)
    start = min(1.0, p.decay_from["tokens"] / a.curriculum)
    return min(1.0, start + (1.0 - start) * done(a, p) / DECAY_RISE)


class Trainer:
    """One process of the run."""

    def __init__(self, rank: int, a: argparse.Namespace, c: Config, p: state.Progress, shared: Shared):
        self.rank, self.a, self.c, self.p, self.shared = rank, a, c, p, shared
        self.world = len(shared.buffers.grads)
        self.dtype = shared.buffers.weights.dtype
        table = parameters(c)
        self.model = Model(c, views(shared.buffers.weights, table), compile=not a.no_compile)
        self.grad = shared.buffers.grads[rank]
        grads = views(self.grad, table)
        for name, tensor in self.model.weights.items():
            tensor.requires_grad_(True)
            tensor.grad = grads[name]
        self.optimiser = Optimiser(table, shared.buffers, rank, Rates(matrix=a.matrix_rate, vector=a.vector_rate))
        self.tally = Tally()
        self.log = Log(a.state / "log.jsonl") if rank == 0 else None
        now = time.monotonic()
        self.clock = self.saved = self.logged = self.evaluated = now
        self.logged_tokens = p.tokens
        self.held_out = None
        self.cpu: dict[str, float] = {}
        self.cpu_mark = time.process_time()
        self.new_block()

    def stream(self, seed: int, progress, split: str):
        if self.a.fake:
            from .fake import stream
        else:
            from .mixture import stream
        return stream(seed=seed, worker=self.rank, progress=progress, split=split)

    def new_block(self) -> None:
        """Opens a stretch of data whose content depends on seed, block and process only."""
        stream = self.stream(self.p.seed * 100_003 + self.p.block, lambda: curriculum(self.a, self.p), "train")
        self.packer = Packer(stream, self.a.batch_tokens, self.c)

    def batches_held_out(self) -> list:
        if self.held_out is None:
            packer = Packer(self.stream(20_000_003, lambda: 1.0, "held_out"), self.a.batch_tokens, self.c)
            self.held_out = [next(packer) for _ in range(self.a.eval_batches)]
        return self.held_out

    def run(self) -> None:
        orders = self.shared.orders
        while True:
            norm = self.step()
            if self.rank == 0:
                self.decide()
            self.wait()
            if orders[SAVE]:
                self.save()
            if orders[LOG]:
                self.report(norm)
            if orders[EVALUATE]:
                self.evaluate()
            if orders[STOP]:
                return
            self.wait()

    def spent(self, on: str) -> None:
        """Books the CPU time since the last call."""
        now = time.process_time()
        self.cpu[on] = self.cpu.get(on, 0.0) + now - self.cpu_mark
        self.cpu_mark = now

    def wait(self) -> None:
        if self.world > 1:
            self.shared.barrier.wait()

    def step(self) -> float:
        """One optimiser step over all processes; returns the gradient norm."""
        numbers, p = self.shared.numbers, self.p
        targets = tokens = 0
        self.grad.zero_()
        self.spent("rest")
        for _ in range(self.a.batches):
            batch = next(self.packer).to(self.a.device, self.dtype)
            self.spent("data")
            loss, right, balance = self.model.losses(batch)
            self.spent("forward")
            (loss.sum() + self.c.aux_loss * loss.numel() * balance).backward()
            self.spent("backward")
            targets += loss.numel()
            tokens += int(batch.valid.sum())
            self.tally.add(batch, loss.detach(), right)
            if p.step % 20 == 0:
                self.tally.add_experts(batch, self.model.expert_use, self.c.num_experts)
        self.spent("tally")
        numbers[self.rank, 0], numbers[self.rank, 2] = targets, tokens
        self.wait()
        numbers[self.rank, 1] = self.optimiser.collect(1.0 / float(numbers[:, 0].sum()))
        self.wait()
        norm = float(numbers[:, 1].sum()) ** 0.5
        self.optimiser.update(norm, factor(self.a, p), p.step + 1)
        self.spent("optimiser")
        p.step += 1
        p.tokens += int(numbers[:, 2].sum())
        return norm

    def decide(self) -> None:
        """The first process reads the clock for all."""
        a, p, now = self.a, self.p, time.monotonic()
        p.seconds += now - self.clock
        self.clock = now
        finished = done(a, p) >= 1.0
        stop = finished or bool(self.shared.stop[0]) or p.step == a.steps
        save = stop or p.step % a.save_steps == 0 or now - self.saved > 60 * a.save_minutes
        evaluate = finished or now - self.evaluated > 60 * a.eval_minutes
        self.shared.orders.copy_(torch.tensor([stop, save, evaluate, stop or now - self.logged > a.log_seconds]))

    def collect_tally(self, tally: Tally) -> Tally:
        """The first process gets everyone's sums; the others an empty one."""
        if self.rank > 0:
            self.shared.queue.put(tally.plain())
            return Tally()
        for _ in range(self.world - 1):
            tally.merge(Tally.of(self.shared.queue.get()))
        return tally

    def report(self, norm: float) -> None:
        tally, self.tally = self.collect_tally(self.tally), Tally()
        if self.rank > 0:
            return
        now, p = time.monotonic(), self.p
        speed = (p.tokens - self.logged_tokens) / max(now - self.logged, 1e-9)
        share = done(self.a, p)
        if p.phase == "decay" and self.a.decay_minutes:
            left = (1 - share) * 60 * self.a.decay_minutes
        else:
            left = (1 - share) * (self.a.tokens if p.phase == "constant" else self.a.decay_tokens) / max(speed, 1e-9)
        placed, places = self.packer.fill
        self.log.write(
            "progress", step=p.step, tokens=p.tokens, phase=p.phase, seconds=round(p.seconds), tokens_per_second=round(speed, 1),
            left_s=round(left), factor=round(factor(self.a, p), 4), curriculum=round(curriculum(self.a, p), 4), norm=round(norm, 3),
            fill=round(placed / max(places, 1), 3), skills=tally.losses(), experts=expert_summary(tally.experts),
            too_long=dict(self.packer.too_long), cpu={on: round(s, 2) for on, s in self.cpu.items()},
        )  # fmt: skip
        self.cpu = {}
        self.logged, self.logged_tokens = now, p.tokens

    def evaluate(self) -> None:
        tally = Tally()
        for batch in self.batches_held_out():
            batch = batch.to(self.a.device, self.dtype)
            # With the graph, then dropped: compiled code for "no gradient" would be built a second time.
            loss, right, _ = self.model.losses(batch)
            tally.add(batch, loss.detach(), right)
        tally = self.collect_tally(tally)
        if self.rank == 0:
            self.log.write("eval", step=self.p.step, tokens=self.p.tokens, phase=self.p.phase, seconds=round(self.p.seconds),
                           accuracy=tally.accuracy(), exact=tally.accuracy_by_skill(), skills=tally.losses())  # fmt: skip
            self.evaluated = time.monotonic()

    def save(self) -> None:
        """Writes the state; live and resumed runs both go on with a new block of data."""
        self.p.block += 1
        if self.rank == 0:
            state.save(self.a.state / f"{self.p.phase}.pt", self.c, self.p, self.shared.buffers)
            self.saved = time.monotonic()
        self.new_block()


def work(rank: int, a: argparse.Namespace, c: Config, p: state.Progress, shared: Shared) -> None:
    torch.set_num_threads(1 if a.device == "cpu" else torch.get_num_threads())
    torch._dynamo.config.recompile_limit = 64
    torch._inductor.config.cpp.threads = 1
    if rank > 0 or len(shared.buffers.grads) > 1:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        trainer = Trainer(rank, a, c, p, shared)
        if rank > 0:
            shared.barrier.wait()  # the first process compiles, the others find its cache
        else:
            if shared.barrier is not None:
                warm_up(trainer)
                shared.barrier.wait()
        trainer.run()
    except BaseException:
        if shared.barrier is not None:
            shared.barrier.abort()
        raise


def warm_up(trainer: Trainer) -> None:
    """Runs one batch of each short shape and drops the gradient, so that shapes are compiled once."""
    stream = trainer.stream(7, lambda: 1.0, "train")
    packer = Packer(stream, trainer.a.batch_tokens, trainer.c)
    seen: set[int] = set()
    for _ in range(12):
        batch = next(packer)
        if batch.length in seen:
            continue
        seen.add(batch.length)
        loss, _, balance = trainer.model.losses(batch.to(trainer.a.device, trainer.dtype))
        (loss.sum() + balance).backward()
    trainer.clock = trainer.logged = time.monotonic()


def begin(a: argparse.Namespace) -> tuple[Config, state.Progress, dict | None]:
    """Configuration, place and f32 tensors to begin with."""
    if a.decay or a.resume:
        names = ("decay.pt",) if a.again else ("decay.pt", "constant.pt") if a.decay and a.resume else ("constant.pt",)
        path = next((a.state / n for n in names if (a.state / n).exists()), None)
        if path is None:
            sys.exit(f"no state in {a.state}: expected {' or '.join(names)}; begin without --resume, --decay and --again")
        c, p, tensors = state.load(path)
        if a.decay and (a.again or p.phase == "constant"):
            p.phase, p.decay_from = "decay", {"tokens": p.tokens, "seconds": p.seconds, "step": p.step}
        return c, p, tensors
    if (a.state / "constant.pt").exists():
        sys.exit(f"{a.state} holds a run: go on with --resume, or name another directory with --state")
    c, p = Config(), state.Progress(seed=a.seed)
    if a.start:
        from .export import load_flat

        c, master = load_flat(a.start)
        return c, p, {"master": master}
    return c, p, None


def main() -> None:
    a = arguments()
    if a.device == "cpu" and any(os.environ.get(n) != v for n, v in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, "-m", "mini.train", *sys.argv[1:]], {**os.environ, **ENVIRONMENT})
    processes = a.processes if a.device == "cpu" else 1
    c, p, tensors = begin(a)
    table = parameters(c)
    buffers = Buffers.allocate(table, processes, torch.bfloat16, a.device)
    if tensors is None:
        initialise(views(buffers.master, table), table, a.seed)
    else:
        for name, value in tensors.items():
            getattr(buffers, name).copy_(value)
    buffers.weights.copy_(buffers.master)
    context = mp.get_context("spawn")
    shared = Shared(buffers, torch.zeros(processes, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.long),
                    torch.zeros(1, dtype=torch.long), None, None)  # fmt: skip

    def ask_to_stop(*_):
        shared.stop[0] = 1

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    if processes == 1:
        work(0, a, c, p, shared)
        return
    buffers.share()
    for tensor in (shared.numbers, shared.orders, shared.stop):
        tensor.share_memory_()
    shared.queue, shared.barrier = context.Queue(), context.Barrier(processes)
    workers = [context.Process(target=work, args=(rank, a, c, p, shared)) for rank in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode) for worker in workers))


if __name__ == "__main__":
    main()
