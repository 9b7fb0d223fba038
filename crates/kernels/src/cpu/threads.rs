//! A fork-join pool: one call runs a closure for every task index on all threads and returns when all are done.
//!
//! Tasks are claimed one at a time from a shared counter, so a slow core takes fewer. Workers wait for the next region
//! spinning (a model has hundreds of regions a token), and after [`SPIN`] asleep: an idle process uses no CPU. The
//! calling thread takes part, and a region never waits for a worker that did not wake up in time.

use super::affinity;
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
}

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
    /// The next task to claim.
    next: Line,
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
    num_tasks: usize,
}

impl Threads {
    /// A pool of `count` threads, the caller's included. Pinned, a worker a core, if there are that many cores.
    pub fn new(count: usize) -> Threads {
        let shared = Arc::new(Shared::default());
        let cores = affinity::cores();
        let worker = |i: usize| {
            let shared = Arc::clone(&shared);
            let core = cores.get(i).copied().filter(|_| count <= cores.len());
            let run = move || {
                core.into_iter().for_each(affinity::pin);
                work(&shared);
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
        }
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
        let share = |claim: &mut dyn FnMut() -> Option<usize>| {
            let Some(first) = claim() else { return };
            let mut workspace = workspace();
            task(&mut workspace, first);
            while let Some(i) = claim() {
                task(&mut workspace, i);
            }
        };
        if num_tasks <= 1 || self.workers.is_empty() {
            let mut tasks = 0..num_tasks;
            return share(&mut || tasks.next());
        }
        self.run_region(num_tasks, &share);
    }

    fn run_region(&self, num_tasks: usize, share: &Share) {
        let _region = lock(&self.region);
        // SAFETY: only the lifetimes change. The reference outlives its use: workers use it only inside the gate, and
        // `close` below, which runs even if a task panics (panics are caught in `work_on`), returns when the gate is
        // shut and empty.
        let share = unsafe { std::mem::transmute::<&Share, &'static Share<'static>>(share) };
        let job = Job { share, num_tasks };
        self.open(job);
        self.shared.work_on(job);
        self.close();
        if let Some(panic) = lock(&self.shared.panic).take() {
            resume_unwind(panic);
        }
    }

    fn open(&self, job: Job) {
        let shared = &*self.shared;
        *lock(&shared.job) = Some(job);
        shared.next.0.store(0, Relaxed);
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
    /// Claims and runs tasks until none is left.
    fn work_on(&self, job: Job) {
        let mut claim = || {
            let i = self.next.0.fetch_add(1, Relaxed);
            (i < job.num_tasks).then_some(i)
        };
        let tasks = AssertUnwindSafe(|| (job.share)(&mut claim));
        if let Err(panic) = catch_unwind(tasks) {
            self.next.0.store(job.num_tasks, Relaxed);
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

/// A worker's life.
fn work(shared: &Shared) {
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
            shared.work_on(job);
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
        for count in [1, 2, 3, 7] {
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
