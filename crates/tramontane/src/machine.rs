//! What this machine has: memory and graphics processors. The only place that looks at the operating system's files;
//! elsewhere than on Linux it knows nothing and says so.

use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The memory there is for this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes of the machine, or of the control group this program runs in, if known.
    #[serde(rename = "memory_bytes")]
    pub total: Option<u64>,
    /// Bytes of them that can be had without swapping, if known. What files hold in memory can be had.
    #[serde(rename = "available_bytes")]
    pub available: Option<u64>,
    /// Whether a control group (of a container, of systemd) allows less than the machine has.
    pub limited: bool,
    /// Bytes of swap. They are no room for a model.
    #[serde(rename = "swap_bytes")]
    pub swap: u64,
}

/// A kind of control groups: where their files are, and what they are called.
struct Groups {
    /// The part of `/proc/self/cgroup` that names it.
    controller: &'static str,
    mounts: &'static [&'static str],
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat` with bytes of files, which the system takes back at need.
    files: [&'static str; 2],
}

const GROUPS: [Groups; 2] = [
    Groups {
        controller: "",
        mounts: &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
        limit: "memory.max",
        usage: "memory.current",
        files: ["inactive_file", "active_file"],
    },
    Groups {
        controller: "memory",
        mounts: &["sys/fs/cgroup/memory"],
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        files: ["total_inactive_file", "total_active_file"],
    },
];

/// The memory there is now.
pub fn memory() -> Memory {
    memory_below(Path::new("/"))
}

/// Bytes of memory that can be had without swapping, if known.
pub fn available_memory() -> Option<u64> {
    memory().available
}

fn memory_below(root: &Path) -> Memory {
    let text = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let line = |name| number_after(&text, name).map(|kib| kib * 1024);
    let mut memory = Memory {
        total: line("MemTotal:"),
        available: line("MemAvailable:"),
        limited: false,
        swap: line("SwapTotal:").unwrap_or_default(),
    };
    for (limit, free) in limits(root) {
        if memory.total.is_none_or(|total| limit < total) {
            memory.total = Some(limit);
            memory.limited = true;
        }
        memory.available = Some(memory.available.map_or(free, |known| known.min(free)));
    }
    memory
}

/// The limit of each control group this program is in, and what of it is free.
fn limits(root: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let kinds = GROUPS
            .iter()
            .filter(|kind| controllers.split(',').any(|name| name == kind.controller));
        for kind in kinds {
            for folder in folders(root, kind, path) {
                found.extend(limit(&folder, kind));
            }
        }
    }
    found
}

/// The folders of a group and of all above it. Inside a container the path may be that of the outside; the mount's own
/// folder is then the group's.
fn folders(root: &Path, kind: &Groups, path: &str) -> Vec<PathBuf> {
    let group = Path::new(path.trim_start_matches('/'));
    let mounts = kind.mounts.iter();
    let folders = mounts.flat_map(|mount| {
        let mount = root.join(mount);
        group.ancestors().map(move |part| mount.join(part))
    });
    folders
        .filter(|folder| folder.join(kind.limit).exists())
        .collect()
}

fn limit(folder: &Path, kind: &Groups) -> Option<(u64, u64)> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    // `max` is no limit.
    let limit: u64 = read(kind.limit)?.trim().parse().ok()?;
    let usage: u64 = read(kind.usage)?.trim().parse().ok()?;
    let stat = read("memory.stat").unwrap_or_default();
    let files: u64 = kind
        .files
        .iter()
        .filter_map(|name| number_after(&stat, name))
        .sum();
    Some((limit, limit.saturating_sub(usage.saturating_sub(files))))
}

/// The number on the line whose first word is `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| match words.next() {
        Some(word) if word == name => words.next()?.parse().ok(),
        _ => None,
    })
}

/// Graphics processors that a driver offers, in words.
pub fn graphics_processors() -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(cards) = fs::read_dir("/proc/driver/nvidia/gpus") {
        found.extend(cards.flatten().map(|card| nvidia_name(&card.path())));
    } else if Path::new("/dev/nvidia0").exists() {
        found.push("an NVIDIA GPU".into());
    }
    if Path::new("/dev/kfd").exists() {
        found.push("an AMD GPU".into());
    }
    found
}

fn nvidia_name(card: &Path) -> String {
    let text = fs::read_to_string(card.join("information")).unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("Model:"));
    model.map_or_else(|| "an NVIDIA GPU".into(), |name| name.trim().to_owned())
}

/// The CPU's name as the system gives it.
pub fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A folder with the files of an operating system, removed when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, String)]) -> Root {
            let root =
                std::env::temp_dir().join(format!("tramontane-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Root(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// 64 GiB, 48 of them free.
    fn meminfo() -> (&'static str, String) {
        let text = "MemTotal: 67108864 kB\nMemFree: 1 kB\nMemAvailable: 50331648 kB\nSwapTotal: 2097152 kB\n";
        ("proc/meminfo", text.to_owned())
    }

    #[test]
    fn a_machine_without_limits() {
        let files = [
            meminfo(),
            ("proc/self/cgroup", "0::/user.slice\n".into()),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n".into()),
            ("sys/fs/cgroup/user.slice/memory.current", "123\n".into()),
        ];
        let root = Root::new("no-limits", &files);
        let expected = Memory {
            total: Some(64 * GIB),
            available: Some(48 * GIB),
            limited: false,
            swap: 2 * GIB,
        };
        assert_eq!(memory_below(&root.0), expected);
        assert_eq!(memory_below(&root.0.join("nowhere")), Memory::default());
    }

    /// The narrowest of the groups counts; files in memory can be taken back.
    #[test]
    fn the_narrowest_control_group_counts() {
        let stat = format!("anon 5\ninactive_file {GIB}\nactive_file {GIB}\nfile 999\n");
        let files = [
            meminfo(),
            (
                "proc/self/cgroup",
                "0::/system.slice/tramontane.service\n".into(),
            ),
            (
                "sys/fs/cgroup/system.slice/memory.max",
                (8 * GIB).to_string(),
            ),
            (
                "sys/fs/cgroup/system.slice/memory.current",
                (7 * GIB).to_string(),
            ),
            ("sys/fs/cgroup/system.slice/memory.stat", stat),
            (
                "sys/fs/cgroup/system.slice/tramontane.service/memory.max",
                (16 * GIB).to_string(),
            ),
            (
                "sys/fs/cgroup/system.slice/tramontane.service/memory.current",
                GIB.to_string(),
            ),
        ];
        let root = Root::new("nested", &files);
        let memory = memory_below(&root.0);
        assert_eq!(
            (memory.total, memory.available, memory.limited),
            (Some(8 * GIB), Some(3 * GIB), true)
        );
    }

    /// In a container the group's path is often the outside's, and its files lie at the mount.
    #[test]
    fn version_1_inside_a_container() {
        let files = [
            meminfo(),
            (
                "proc/self/cgroup",
                "9:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n".into(),
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                (4 * GIB).to_string(),
            ),
            (
                "sys/fs/cgroup/memory/memory.usage_in_bytes",
                (3 * GIB).to_string(),
            ),
            (
                "sys/fs/cgroup/memory/memory.stat",
                format!("inactive_file 1\ntotal_inactive_file {GIB}\n"),
            ),
        ];
        let root = Root::new("v1", &files);
        let memory = memory_below(&root.0);
        assert_eq!(
            (memory.total, memory.available),
            (Some(4 * GIB), Some(2 * GIB))
        );
    }

    /// Version 1 says "no limit" by a number larger than any memory.
    #[test]
    fn a_limit_larger_than_the_machine_is_none() {
        let files = [
            meminfo(),
            ("proc/self/cgroup", "4:memory:/\n".into()),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712".into(),
            ),
            (
                "sys/fs/cgroup/memory/memory.usage_in_bytes",
                GIB.to_string(),
            ),
        ];
        let root = Root::new("v1-none", &files);
        let memory = memory_below(&root.0);
        assert_eq!((memory.available, memory.limited), (Some(48 * GIB), false));
    }
}
