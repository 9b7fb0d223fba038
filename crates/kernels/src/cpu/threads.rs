//! A fork-join pool: one call runs a closure for every task index on all threads and returns when all are done.
//!
//! Tasks are claimed one at a time from a shared counter, so a slow core takes fewer. Workers wait for the next region
//! spinning (a model has hundreds of regions a token), and after [`SPIN`] asleep: an idle process uses no CPU. The
//! calling thread takes part, and a region never waits for a worker that did not wake up in time.
//!
//! On a machine of several memory nodes the tasks of a region come in as many parts, each with a counter of its own; a
//! thread takes those of its own node's part first, then helps the others. Where the same part of a matrix always is the
//! same part of the tasks, each node writes and reads its own memory.

use super::affinity::{self, Core};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a worker spins before it sleeps. Longer than the pause between two regions of a step, short enough to be
/// invisible in an idle process.
const SPIN: Duration = Duration::from_micros(50);

/// The pool. Dropping it ends its workers.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose region is running.
    region: Mutex<()>,
    /// All cores, if there are several nodes: where a caller is looked up.
    cores: Vec<Core>,
}

/// Most memory nodes told apart; more share.
pub(super) const MAX_NODES: usize = 8;

/// Where each node's part of the tasks ends; the first begins at 0, and parts past the last node's are empty.
pub(super) type Parts = [usize; MAX_NODES];

/// On a cache line of its own, so that claiming a task does not disturb who is reading the rest.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicUsize);

#[derive(Default)]
struct Shared {
    /// Regions begun; a worker that sees it change looks for work.
    generation: Line,
    /// [`OPEN`] while a region runs, plus the number of workers inside it. The job is only touched while inside.
    gate: Line,
    /// The next task to claim of each part.
    next: [Line; MAX_NODES],
    job: Mutex<Option<Job>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    stop: AtomicBool,
}

const OPEN: usize = 1 << 32;

/// What each thread of a region runs, once: it is given where to claim tasks from.
type Share<'a> = dyn Fn(&mut dyn FnMut() -> Option<usize>) + Sync + 'a;

/// The region at hand. The reference is only used between entering and leaving the gate.
#[derive(Clone, Copy)]
struct Job {
    share: &'static Share<'static>,
    parts: Parts,
}

impl Job {
    /// Where each part begins.
    fn first_tasks(&self) -> impl Iterator<Item = usize> {
        std::iter::once(0).chain(self.parts)
    }

    fn is_empty(&self, part: usize) -> bool {
        self.first_tasks().nth(part) == Some(self.parts[part])
    }
}

impl Threads {
    /// A pool of `count` threads, the caller's included. Pinned, a worker a core, if there are that many cores.
    pub fn new(count: usize) -> Threads {
        Threads::on(affinity::cores(), count)
    }

    fn on(cores: Vec<Core>, count: usize) -> Threads {
        let shared = Arc::new(Shared::default());
        let worker = |i: usize| {
            let shared = Arc::clone(&shared);
            let core = cores.get(i).copied().filter(|_| count <= cores.len());
            let run = move || {
                core.into_iter().for_each(|core| affinity::pin(core.cpu));
                work(&shared, core.map_or(0, |core| core.node));
            };
            std::thread::Builder::new()
                .name(format!("kernels {i}"))
                .spawn(run)
                .ok()
        };
        // A system that refuses a thread leaves a smaller pool; results do not depend on its size.
        let workers = (1..count).map_while(worker).collect();
        Threads {
            shared,
            workers,
            region: Mutex::new(()),
            cores: if count <= cores.len() {
                cores
            } else {
                Vec::new()
            },
        }
    }

    /// A pool as on a machine of two nodes, whatever this one has.
    #[cfg(test)]
    pub fn on_two_nodes(count: usize) -> Threads {
        let core = |cpu: usize| Core { cpu, node: cpu % 2 };
        Threads::on((0..count).map(core).collect(), count)
    }

    /// Memory nodes that threads are spread over, and so parts that tasks may come in.
    pub fn nodes(&self) -> usize {
        let last = self.cores.iter().map(|core| core.node).max();
        last.map_or(1, |node| MAX_NODES.min(node + 1))
    }

    /// Threads in the pool, the caller's included.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(i)` for every `i` in `0..num_tasks`, in any order, and returns when all are done. A panic in a task
    /// comes out here, after the others are done. `task` must not call `run` of the same pool.
    pub fn run(&self, num_tasks: usize, task: impl Fn(usize) + Sync) {
        self.run_with(num_tasks, || (), |(), i| task(i));
    }

    /// [`Threads::run`] with a workspace that each thread makes once a region and hands to each of its tasks.
    pub fn run_with<W>(
        &self,
        num_tasks: usize,
        workspace: impl Fn() -> W + Sync,
        task: impl Fn(&mut W, usize) + Sync,
    ) {
        let nodes = self.nodes();
        let parts = std::array::from_fn(|node| (node + 1).min(nodes) * num_tasks / nodes);
        self.run_parts(parts, workspace, task);
    }

    /// [`Threads::run_with`] where the tasks of each node's part are said.
    pub fn run_parts<W>(
        &self,
        parts: Parts,
        workspace: impl Fn() -> W + Sync,
        task: impl Fn(&mut W, usize) + Sync,
    ) {
        let share = |claim: &mut dyn FnMut() -> Option<usize>| {
            let Some(first) = claim() else { return };
            let mut workspace = workspace();
            task(&mut workspace, first);
            while let Some(i) = claim() {
                task(&mut workspace, i);
            }
        };
        let num_tasks = parts[MAX_NODES - 1];
        if num_tasks <= 1 || self.workers.is_empty() {
            let mut tasks = 0..num_tasks;
            return share(&mut || tasks.next());
        }
        self.run_region(parts, &share);
    }

    fn run_region(&self, parts: Parts, share: &Share) {
        let _region = lock(&self.region);
        // SAFETY: only the lifetimes change. The reference outlives its use: workers use it only inside the gate, and
        // `close` below, which runs even if a task panics (panics are caught in `work_on`), returns when the gate is
        // shut and empty.
        let share = unsafe { std::mem::transmute::<&Share, &'static Share<'static>>(share) };
        let job = Job { share, parts };
        self.open(job);
        self.shared.work_on(job, self.callers_node());
        self.close();
        if let Some(panic) = lock(&self.shared.panic).take() {
            resume_unwind(panic);
        }
    }

    /// The node that the calling thread, which is not pinned, is on just now.
    fn callers_node(&self) -> usize {
        if self.nodes() == 1 {
            return 0;
        }
        let cpu = affinity::current_cpu();
        let core = self.cores.iter().find(|core| Some(core.cpu) == cpu);
        core.map_or(0, |core| core.node)
    }

    fn open(&self, job: Job) {
        let shared = &*self.shared;
        *lock(&shared.job) = Some(job);
        for (next, first) in shared.next.iter().zip(job.first_tasks()) {
            next.0.store(first, Relaxed);
        }
        shared.gate.0.store(OPEN, Release);
        shared.generation.0.fetch_add(1, SeqCst);
        if shared.sleepers.load(SeqCst) > 0 {
            drop(lock(&shared.sleep));
            shared.wake.notify_all();
        }
    }

    fn close(&self) {
        let gate = &self.shared.gate.0;
        gate.fetch_and(!OPEN, AcqRel);
        let mut spins = 0u32;
        while gate.load(Acquire) != 0 {
            spins += 1;
            if spins.is_multiple_of(4096) {
                std::thread::yield_now(); // a worker may have lost its core to another process
            }
            std::hint::spin_loop();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.generation.0.fetch_add(1, SeqCst);
        drop(lock(&self.shared.sleep));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker only ends by returning from `work`, which catches the panics of tasks.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Claims and runs tasks until none is left, those of `node` first.
    fn work_on(&self, job: Job, node: usize) {
        let mut turns = (node % MAX_NODES..MAX_NODES).chain(0..node % MAX_NODES);
        let mut part = turns.next();
        let mut claim = || {
            while let Some(at) = part {
                let i = self.next[at].0.fetch_add(1, Relaxed);
                if i < job.parts[at] {
                    return Some(i);
                }
                part = turns.find(|at| !job.is_empty(*at));
            }
            None
        };
        let tasks = AssertUnwindSafe(|| (job.share)(&mut claim));
        if let Err(panic) = catch_unwind(tasks) {
            for (next, end) in self.next.iter().zip(job.parts) {
                next.0.store(end, Relaxed);
            }
            lock(&self.panic).get_or_insert(panic);
        }
    }

    /// Waits until the generation is no longer `seen`; returns the new one.
    fn next_generation(&self, seen: usize) -> usize {
        let generation = || self.generation.0.load(SeqCst);
        let begin = Instant::now();
        while generation() == seen {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            if begin.elapsed() < SPIN {
                continue;
            }
            let mut guard = lock(&self.sleep);
            self.sleepers.fetch_add(1, SeqCst);
            while generation() == seen {
                guard = self
                    .wake
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            self.sleepers.fetch_sub(1, SeqCst);
        }
        generation()
    }
}

/// The life of a worker near `node`.
fn work(shared: &Shared, node: usize) {
    let mut seen = 0;
    loop {
        seen = shared.next_generation(seen);
        if shared.stop.load(SeqCst) {
            return;
        }
        let enter = |gate: usize| (gate & OPEN != 0).then_some(gate + 1);
        if shared.gate.0.fetch_update(AcqRel, Acquire, enter).is_err() {
            continue; // too late: that region is over
        }
        let job = *lock(&shared.job);
        if let Some(job) = job {
            shared.work_on(job, node);
        }
        shared.gate.0.fetch_sub(1, Release);
    }
}

/// Locks; a panic elsewhere leaves nothing half-done in what these mutexes guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for count in [1, 2, 3, 7, 64] {
            let threads = Threads::new(count);
            for num_tasks in [0, 1, 2, 5, 100] {
                let runs: Vec<AtomicUsize> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..200 {
                    threads.run(num_tasks, |i| {
                        runs[i].fetch_add(1, Relaxed);
                    });
                }
                assert!(
                    runs.iter().all(|r| r.load(Relaxed) == 200),
                    "{count} threads"
                );
            }
        }
    }

    #[test]
    fn on_two_nodes_every_task_runs_once() {
        for count in [2, 3, 5] {
            let threads = Threads::on_two_nodes(count);
            assert_eq!(threads.nodes(), 2);
            for (first, num_tasks) in [(0, 0), (0, 1), (3, 3), (0, 40), (40, 40), (7, 100)] {
                let runs: Vec<AtomicUsize> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
                let mut parts = [num_tasks; MAX_NODES];
                parts[0] = first;
                for _ in 0..50 {
                    threads.run_parts(
                        parts,
                        || (),
                        |(), i| {
                            runs[i].fetch_add(1, Relaxed);
                        },
                    );
                }
                let once = runs.iter().all(|r| r.load(Relaxed) == 50);
                assert!(once, "{count} threads, {first} of {num_tasks}");
            }
        }
    }

    #[test]
    fn a_worker_begins_with_its_own_node() {
        let threads = Threads::on_two_nodes(2);
        let (both, first_of_worker) = (std::sync::Barrier::new(2), AtomicUsize::new(usize::MAX));
        let caller = std::thread::current().id();
        // Each thread waits in its first task until the other has one, too.
        threads.run_with(
            10,
            || true,
            |is_first, i| {
                if std::mem::take(is_first) {
                    if std::thread::current().id() != caller {
                        first_of_worker.store(i, Relaxed);
                    }
                    both.wait();
                }
            },
        );
        let first = first_of_worker.into_inner();
        assert!((5..10).contains(&first), "{first}");
    }

    #[test]
    fn a_panic_comes_out_and_the_pool_goes_on() {
        let threads = Threads::new(2);
        for _ in 0..20 {
            let run = || threads.run(8, |i| assert!(i != 5, "task five"));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert!(
                panic
                    .downcast_ref::<&str>()
                    .is_some_and(|m| m.contains("task five"))
            );
            let done = AtomicUsize::new(0);
            threads.run(8, |_| {
                done.fetch_add(1, Relaxed);
            });
            assert_eq!(done.load(Relaxed), 8);
        }
    }

    #[test]
    fn sleeping_workers_wake_up_and_callers_take_turns() {
        let threads = Threads::new(2);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        std::thread::sleep(SPIN * 4);
                        threads.run(3, |_| {
                            done.fetch_add(1, Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(done.load(Relaxed), 3 * 20 * 3);
    }
}
