//! An image file's bytes: its size from the header, then its pixels.

#![no_main]

use chat::image::{self, ImageGrid};
use chat::tekken::ImageConfig;
use libfuzzer_sys::fuzz_target;

const CONFIG: ImageConfig = ImageConfig {
    patch_size: 14,
    max_image_size: 420,
    spatial_merge_size: 2,
};

/// More only costs time: what is read is the same.
const MOST_PIXELS: u32 = 1 << 21;

fuzz_target!(|data: &[u8]| {
    let (width, height) = match image::size_in_pixels(data, "here") {
        Ok(size) => size,
        Err(error) => {
            assert!(error.to_string().starts_with("here: "));
            return;
        }
    };
    if width * height > MOST_PIXELS {
        return;
    }
    match image::pixels(data, CONFIG, "here") {
        Ok(pixels) => {
            let grid = ImageGrid::of_size(width, height, CONFIG);
            assert_eq!((pixels.width, pixels.height), grid.size_in_pixels(CONFIG));
            assert_eq!(
                pixels.data.len(),
                3 * (pixels.width * pixels.height) as usize
            );
            // Cubic weights reach below black and above white, but not far.
            assert!(pixels.data.iter().all(|value| value.abs() < 5.0));
        }
        Err(error) => assert!(error.to_string().starts_with("here: ")),
    }
});
