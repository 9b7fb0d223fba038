//! How many tokens an image becomes, and to how many pixels it is resized for them.
//!
//! Must not know: file formats, pixels' values, token ids.

use crate::tekken::ImageConfig;

/// How many tokens an image is wide and high.
///
/// *Shapes*: the prompt holds `height` rows of `width` image tokens, each row with one token more that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageGrid {
    /// Image tokens a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl ImageGrid {
    /// The grid of an image of `width` x `height` pixels, both over 0.
    ///
    /// A side longer than the configured maximum is scaled down, both sides rounded half to even.
    pub fn of_size(width: u32, height: u32, config: ImageConfig) -> Self {
        let longest = f64::from(config.max_image_size);
        let ratio = (f64::from(height) / longest).max(f64::from(width) / longest);
        let scaled = |side: u32| {
            if ratio > 1.0 {
                ((f64::from(side) / ratio).round_ties_even() as u32).max(1)
            } else {
                side
            }
        };
        let tokens = |side: u32| (scaled(side) - 1) / pixels_a_token(config) + 1;
        Self {
            width: tokens(width),
            height: tokens(height),
        }
    }

    /// How many tokens of the prompt the image takes, row ends included.
    pub fn num_tokens(self) -> usize {
        (self.width as usize + 1) * self.height as usize
    }

    /// The size in pixels (width, height) to which the whole image is resized, whatever its aspect ratio.
    ///
    /// A side is below the configured maximum plus one token's pixels.
    pub fn size_in_pixels(self, config: ImageConfig) -> (u32, u32) {
        let unit = pixels_a_token(config);
        (
            self.width.saturating_mul(unit),
            self.height.saturating_mul(unit),
        )
    }
}

/// How many pixels a token's square is wide and high.
fn pixels_a_token(config: ImageConfig) -> u32 {
    config.patch_size.saturating_mul(config.spatial_merge_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL_4: ImageConfig = ImageConfig {
        patch_size: 14,
        max_image_size: 1540,
        spatial_merge_size: 2,
    };

    #[test]
    fn grids_of_known_sizes() {
        let table = [
            ((300, 200), (11, 8), 96),
            ((28, 28), (1, 1), 2),
            ((28, 56), (1, 2), 4),
            ((29, 57), (2, 3), 9),
            ((4000, 3000), (55, 42), 2352),
            ((1600, 1201), (55, 42), 2352),
            ((3000, 1999), (55, 37), 2072),
            ((1541, 1), (55, 1), 56),
            ((1, 5000), (1, 55), 110),
            ((1540, 1540), (55, 55), 3080),
            ((10000, 10000), (55, 55), 3080),
        ];
        for ((width, height), (across, down), tokens) in table {
            let grid = ImageGrid::of_size(width, height, SMALL_4);
            assert_eq!(
                (grid.width, grid.height, grid.num_tokens()),
                (across, down, tokens),
                "{width} x {height}"
            );
            assert_eq!(grid.size_in_pixels(SMALL_4), (across * 28, down * 28));
        }
    }
}
