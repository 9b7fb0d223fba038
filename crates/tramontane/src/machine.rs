//! What this machine has: memory and graphics processors. The only place that looks at the operating system's files;
//! elsewhere than on Linux it knows nothing and says so.

use std::fs;
use std::path::Path;

/// Bytes of memory that can be had without swapping, if known.
pub fn available_memory() -> Option<u64> {
    memory_line("MemAvailable:")
}

/// Bytes of memory of the machine, if known.
pub fn total_memory() -> Option<u64> {
    memory_line("MemTotal:")
}

fn memory_line(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
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
