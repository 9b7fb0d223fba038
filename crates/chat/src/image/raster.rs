//! Rows out of an image that was decoded whole.
//!
//! Must not know: file formats.

use super::Rows;
use super::colour::{Rgb, WHITE, flatten};

/// What the bytes of a pixel are.
#[derive(Clone, Copy)]
pub(super) enum Pixel {
    Grey,
    Rgb,
    /// Red, green, blue, and a byte that means nothing.
    Rgbx,
    /// Red, green, blue and opacity.
    Rgba,
}

impl Pixel {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgbx | Self::Rgba => 4,
        }
    }

    fn to_rgb(self, pixels: &[u8], rgb: &mut [u8]) {
        match self {
            Self::Grey => {
                for (pixel, grey) in rgb.chunks_exact_mut(3).zip(pixels) {
                    pixel.fill(*grey);
                }
            }
            Self::Rgb => rgb.copy_from_slice(pixels),
            Self::Rgbx => {
                for (pixel, source) in rgb.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
                    pixel.copy_from_slice(&source[..3]);
                }
            }
            Self::Rgba => flatten(pixels, rgb),
        }
    }
}

/// A decoded image, and where on its canvas it lies.
pub(super) struct Raster {
    samples: Vec<u8>,
    pixel: Pixel,
    /// Its width and height in pixels.
    size: (u32, u32),
    /// Its upper left corner on the canvas.
    corner: (u32, u32),
    /// The canvas's colour.
    around: Rgb,
    /// The canvas row that comes next.
    y: u32,
}

impl Raster {
    /// An image that fills its canvas. *Shapes*: `samples` holds `pixel.bytes()` for each of its pixels.
    pub(super) fn new(samples: Vec<u8>, pixel: Pixel, size: (u32, u32)) -> Self {
        Self::at((0, 0), WHITE, samples, pixel, size)
    }

    /// An image at a corner of a canvas that is large enough for it.
    pub(super) fn at(
        corner: (u32, u32),
        around: Rgb,
        samples: Vec<u8>,
        pixel: Pixel,
        size: (u32, u32),
    ) -> Self {
        assert_eq!(
            samples.len(),
            size.0 as usize * size.1 as usize * pixel.bytes(),
            "samples = width * height * bytes"
        );
        Self {
            samples,
            pixel,
            size,
            corner,
            around,
            y: 0,
        }
    }
}

impl Rows for Raster {
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let line = self.size.0 as usize * self.pixel.bytes();
        let y = self.y.checked_sub(self.corner.1);
        self.y += 1;
        let covered = self.size.0 as usize * 3;
        let y = y.filter(|y| *y < self.size.1);
        if y.is_none() || covered < rgb.len() {
            rgb.as_chunks_mut().0.fill(self.around);
        }
        if let Some(y) = y {
            let pixels = &self.samples[y as usize * line..][..line];
            let left = self.corner.0 as usize * 3;
            self.pixel.to_rgb(pixels, &mut rgb[left..left + covered]);
        }
        Ok(())
    }
}
