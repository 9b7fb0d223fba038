//! Which cores this process may use, and keeping a thread on one: the only calls that differ between systems.
//!
//! Linux asks the kernel; elsewhere every core counts and nothing is pinned.

/// One logical CPU of each physical core that this process may run on, in order; empty where nobody can say.
pub(crate) fn cores() -> Vec<usize> {
    system::cores()
}

/// Keeps the calling thread on one logical CPU. A wish: where it cannot be had, nothing changes.
pub(crate) fn pin(cpu: usize) {
    system::pin(cpu);
}

/// Threads to use when nobody says: a thread a physical core, no more than the system grants this process.
pub(crate) fn default_threads() -> usize {
    let granted = std::thread::available_parallelism().map_or(1, usize::from);
    match cores().len() {
        0 => granted,
        cores => cores.min(granted),
    }
}

#[cfg(target_os = "linux")]
mod system {
    /// Bits of a CPU mask: as many CPUs as the C library's own fixed-size set.
    const WORDS: usize = 1024 / 64;

    unsafe extern "C" {
        fn sched_getaffinity(thread: i32, bytes: usize, mask: *mut u64) -> i32;
        fn sched_setaffinity(thread: i32, bytes: usize, mask: *const u64) -> i32;
    }

    pub fn cores() -> Vec<usize> {
        let mut seen = Vec::new();
        let mut cores = Vec::new();
        for cpu in allowed() {
            let read = |what: &str| {
                let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/{what}");
                std::fs::read_to_string(path).unwrap_or_else(|_| format!("cpu {cpu}"))
            };
            let core = (read("physical_package_id"), read("core_id"));
            if !seen.contains(&core) {
                seen.push(core);
                cores.push(cpu);
            }
        }
        cores
    }

    fn allowed() -> Vec<usize> {
        let mut mask = [0u64; WORDS];
        // SAFETY: the kernel writes at most the given number of bytes, all of them in `mask`; thread 0 is the caller.
        let failed = unsafe { sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr()) } != 0;
        if failed {
            return Vec::new();
        }
        (0..WORDS * 64)
            .filter(|cpu| mask[cpu / 64] >> (cpu % 64) & 1 == 1)
            .collect()
    }

    pub fn pin(cpu: usize) {
        let mut mask = [0u64; WORDS];
        let Some(word) = mask.get_mut(cpu / 64) else {
            return;
        };
        *word = 1 << (cpu % 64);
        // SAFETY: the kernel reads the given number of bytes of `mask`; thread 0 is the caller.
        unsafe { sched_setaffinity(0, size_of_val(&mask), mask.as_ptr()) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn cores() -> Vec<usize> {
        Vec::new()
    }

    pub fn pin(_cpu: usize) {}
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_at_least_one_thread() {
        let threads = super::default_threads();
        assert!(threads >= 1);
        assert!(threads <= std::thread::available_parallelism().unwrap().get());
    }
}
