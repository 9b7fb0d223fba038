//! What refusing a bad image costs: under a second, and under 64 MiB above the file.
//!
//! Memory is the most that was resident, as Linux counts it; elsewhere only times are. One test, so that
//! nothing else runs in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chat::image;
use chat::tekken::ImageConfig;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const SMALL_4: ImageConfig = ImageConfig {
    patch_size: 14,
    max_image_size: 1540,
    spatial_merge_size: 2,
};

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/images");
    std::fs::read(PathBuf::from(folder).join(name)).unwrap()
}

/// KiB of a line in the process's status: `VmHWM`, the most resident since the last reset, or `VmRSS`, what is now.
fn resident(line: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|text| text.starts_with(line))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How long this thread has run: waiting for a busy machine does not count, where Linux tells the difference.
fn time_running(since: Instant) -> Duration {
    let running = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = running.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// How many MiB more than before were resident while it ran, and for how long it ran.
fn cost<T>(run: impl FnOnce() -> T) -> (T, usize, Duration) {
    // Makes the most resident what is resident now.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = resident("VmHWM");
    let start = Instant::now();
    let running = time_running(start);
    let result = run();
    let took = time_running(start).saturating_sub(running);
    let after = resident("VmHWM");
    let grown = before.zip(after);
    let grown = grown.map_or(0, |(before, after)| after.saturating_sub(before));
    (result, grown >> 10, took)
}

/// Large files of every kind of decoding. JPEG's decoder paints over damage, so that only a cut refuses it.
const LARGE: [&str; 10] = [
    "png-rgba-4000x3000.png",
    "png-rgb16-4000x3000.png",
    "png-interlaced-4000x3000.png",
    "png-1-bit-7680x4320.png",
    "jpeg-4000x3000.jpg",
    "jpeg-4000x3000-progressive.jpg",
    "webp-lossless-4000x3000.webp",
    "webp-lossy-4000x3000.webp",
    "gif-4000x3000.gif",
    "bmp-runs-4000x3000.bmp",
];

/// The file cut in its middle and near its end, and with bytes changed early and late.
fn damaged(whole: &[u8]) -> [Vec<u8>; 4] {
    let changed = |from: usize| {
        let mut bytes = whole.to_vec();
        for byte in &mut bytes[from..from + 40] {
            *byte ^= 0xa5;
        }
        bytes
    };
    let length = whole.len();
    [
        whole[..length / 2].to_vec(),
        whole[..length - 40].to_vec(),
        changed(length / 3),
        changed(length - 100),
    ]
}

/// A file with other bytes at some places.
fn with(mut file: Vec<u8>, changes: &[(usize, &[u8])]) -> Vec<u8> {
    for (at, bytes) in changes {
        file[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// Files that claim more than they hold, or hold more than is read.
fn bombs() -> Vec<Vec<u8>> {
    let huge = 60_000_u32.to_be_bytes();
    let side = 5700_u32.to_be_bytes();
    let jpeg = file("jpeg-28x28.jpg");
    let sof = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    vec![
        with(file("png-rgb-1x1.png"), &[(16, &huge), (20, &huge)]),
        with(file("png-6-16-interlaced.png"), &[(16, &side), (20, &side)]),
        with(jpeg, &[(sof + 5, &[0xff; 4])]),
        with(file("gif-1x1.gif"), &[(6, &[0xff; 4])]),
        with(file("webp-lossless-1x1-4.webp"), &[(21, &[0xff; 3])]),
        with(file("bmp-24.bmp"), &[(18, &[0xff, 0x70, 0, 0])]),
        vec![0x42; 1 << 20],
        b"BM".repeat(30 << 20),
    ]
}

#[test]
fn bad_images_are_cheap_to_refuse() {
    // So that the allocator gives back whatever is freed.
    if std::env::var_os("MALLOC_MMAP_THRESHOLD_").is_none() {
        let this = std::env::current_exe().unwrap();
        let mut again = Command::new(this);
        let status = again.env("MALLOC_MMAP_THRESHOLD_", "65536").status();
        assert!(status.unwrap().success());
        return;
    }
    let (whole, grown, took) = cost(|| vec![1_u8; 50 << 20]);
    assert!(
        grown >= 49 || resident("VmHWM").is_none(),
        "{grown} {took:?}"
    );
    drop(whole);

    let mut num_refused = 0;
    let cut_or_changed = LARGE.into_iter().flat_map(|name| {
        let files = damaged(&file(name));
        files.map(|bytes| (name, bytes))
    });
    let bombs = bombs().into_iter().map(|bytes| ("bomb", bytes));
    for (index, (name, bytes)) in cut_or_changed.chain(bombs).enumerate() {
        let (result, grown, took) = cost(|| image::pixels(&bytes, SMALL_4, "here"));
        let Err(error) = result else { continue };
        num_refused += 1;
        assert!(grown < 64, "{name} {index}: {grown} MiB, {error}");
        assert!(
            took < Duration::from_secs(1),
            "{name} {index}: {took:?}, {error}"
        );
        println!("{grown:3} MiB {took:9.1?} {name} {index}: {error}");
    }
    assert!(num_refused >= 36, "{num_refused}");
}
