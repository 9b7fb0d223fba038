//! Image files of every kind and shape against the reference's pixels: `fixtures/images`, which `make_image_cases.py`
//! makes with mistral-common, Pillow and OpenCV.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chat::image::{self, ImageGrid};
use chat::tekken::ImageConfig;
use serde::Deserialize;
use std::path::PathBuf;

const SMALL_4: ImageConfig = ImageConfig {
    patch_size: 14,
    max_image_size: 1540,
    spatial_merge_size: 2,
};

/// The most that a normalised value may differ, and the mean of a colour. A level of 255 is about 0.015.
const LOSSLESS: (f32, f64) = (5e-6, 5e-7);
/// JPEG decoders round differently, above all where colours are stored at half size: over all values of these images
/// the most is 0.079, five levels, and the mean of an image 0.013, under a level.
const LOSSY: (f32, f64) = (0.08, 0.013);

/// Normalised values kept of each image.
const SAMPLES: usize = 256;

#[derive(Deserialize)]
struct Case {
    file: String,
    size: (u32, u32),
    grid: (u32, u32),
    lossy: bool,
    sums: [f64; 3],
}

fn images() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/images"
    ))
}

fn cases() -> Vec<(Case, Vec<f32>)> {
    let lines = std::fs::read_to_string(images().join("cases.jsonl")).unwrap();
    let values = std::fs::read(images().join("values.f32")).unwrap();
    let mut values = values
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let cases: Vec<_> = lines
        .lines()
        .map(|line| {
            let kept = values.by_ref().take(SAMPLES).collect();
            (serde_json::from_str(line).unwrap(), kept)
        })
        .collect();
    assert!(values.next().is_none());
    cases
}

/// Which values are kept of `count`: the first, the last, and others all over.
fn places(count: usize) -> impl Iterator<Item = usize> {
    let others = (2..SAMPLES).map(move |k| (k * 2_654_435_761 + 40503) % count);
    [0, count - 1].into_iter().chain(others)
}

#[test]
fn pixels_are_the_reference_s() {
    let cases = cases();
    assert!(cases.len() >= 200, "{}", cases.len());
    for (case, kept) in &cases {
        let file = std::fs::read(images().join(&case.file)).unwrap();
        let size = image::size_in_pixels(&file, &case.file).unwrap();
        assert_eq!(size, case.size, "{}", case.file);
        let grid = ImageGrid::of_size(size.0, size.1, SMALL_4);
        assert_eq!((grid.width, grid.height), case.grid, "{}", case.file);
        let pixels = image::pixels(&file, SMALL_4, &case.file).unwrap();
        assert_eq!((pixels.width, pixels.height), grid.size_in_pixels(SMALL_4));
        let area = (pixels.width * pixels.height) as usize;
        assert_eq!(pixels.data.len(), 3 * area);
        let (most, most_mean) = if case.lossy { LOSSY } else { LOSSLESS };
        for (place, expected) in places(3 * area).zip(kept) {
            let got = pixels.data[place];
            let difference = (got - expected).abs();
            assert!(difference <= most, "{}: {got} {expected}", case.file);
        }
        for (plane, expected) in pixels.data.chunks_exact(area).zip(case.sums) {
            let got: f64 = plane.iter().copied().map(f64::from).sum();
            let difference = (got - expected).abs() / area as f64;
            assert!(difference <= most_mean, "{}: {got} {expected}", case.file);
        }
    }
}
