//! Which cores this process may use, and keeping a thread on one: the only calls that differ between systems.
//!
//! Linux asks the kernel; elsewhere every core counts and nothing is pinned.

/// A physical core that this process may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Core {
    /// One of its logical CPUs.
    pub cpu: usize,
    /// The memory node it is nearest to; nodes are counted from 0 without gaps.
    pub node: usize,
}

/// The physical cores that this process may run on, the nodes taking turns, so that any number of first ones has the
/// bandwidth of all nodes; empty where nobody can say.
pub(crate) fn cores() -> Vec<Core> {
    in_turns(system::cores())
}

/// Cores by (CPU, name of its node), in turns.
fn in_turns(cores: Vec<(usize, String)>) -> Vec<Core> {
    let mut names: Vec<&String> = Vec::new();
    let mut turns = Vec::new();
    for (cpu, name) in &cores {
        let known = names.iter().position(|known| *known == name);
        let node = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        let turn = turns
            .iter()
            .filter(|(_, core): &&(usize, Core)| core.node == node)
            .count();
        turns.push((turn, Core { cpu: *cpu, node }));
    }
    turns.sort_by_key(|(turn, core)| (*turn, core.node));
    turns.into_iter().map(|(_, core)| core).collect()
}

/// The logical CPU that the calling thread is on just now.
pub(crate) fn current_cpu() -> Option<usize> {
    system::current_cpu()
}

/// Logical CPUs that this process may run on.
pub fn processors() -> usize {
    match system::allowed().len() {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        allowed => allowed,
    }
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
        fn sched_getcpu() -> i32;
    }

    pub fn cores() -> Vec<(usize, String)> {
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
                cores.push((cpu, node(cpu)));
            }
        }
        cores
    }

    /// The link `nodeN` in the CPU's folder; empty on a kernel that does not know nodes.
    fn node(cpu: usize) -> String {
        let folder = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}"));
        let names = folder.into_iter().flatten().flatten();
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let number = |name: &str| {
            name.strip_prefix("node")
                .is_some_and(|n| n.parse::<u32>().is_ok())
        };
        names.find(|name| number(name)).unwrap_or_default()
    }

    pub fn current_cpu() -> Option<usize> {
        // SAFETY: it takes nothing and touches nothing of ours; -1 where it cannot say.
        usize::try_from(unsafe { sched_getcpu() }).ok()
    }

    pub fn allowed() -> Vec<usize> {
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
    pub fn cores() -> Vec<(usize, String)> {
        Vec::new()
    }

    pub fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub fn current_cpu() -> Option<usize> {
        None
    }

    pub fn pin(_cpu: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_turns() {
        let node = |cpu: usize| if cpu < 3 { "node0" } else { "node2" };
        let cores = in_turns((0..5).map(|cpu| (cpu, node(cpu).to_owned())).collect());
        let order: Vec<(usize, usize)> = cores.iter().map(|core| (core.cpu, core.node)).collect();
        assert_eq!(order, [(0, 0), (3, 1), (1, 0), (4, 1), (2, 0)]);
    }

    #[test]
    fn cores_are_processors_and_the_current_one_is_known() {
        assert!(cores().len() <= processors());
        if let Some(cpu) = current_cpu() {
            assert!(cpu < 1024, "{cpu}");
        }
    }

    #[test]
    fn there_is_at_least_one_thread() {
        let threads = default_threads();
        assert!(threads >= 1);
        assert!(threads <= std::thread::available_parallelism().unwrap().get());
    }
}
