//! Samples of every kind become red, green and blue on white paper.
//!
//! The arithmetic is that of Pillow, through which the reference opens images: integers, rounded the same way.
//! Must not know: file formats.

/// A pixel's red, green and blue.
pub(super) type Rgb = [u8; 3];

/// The paper behind transparent pixels.
pub(super) const WHITE: Rgb = [255; 3];

/// Products of two shares of 255, rounded to the nearest. *Source*: the reference's library, `DIV255`.
fn over_255(product: u32) -> u8 {
    let half_up = product + 128;
    ((half_up + (half_up >> 8)) >> 8) as u8
}

/// A pixel of the given opacity on white.
pub(super) fn on_white(pixel: Rgb, alpha: u8) -> Rgb {
    let (paint, paper) = (u32::from(alpha), u32::from(255 - alpha));
    pixel.map(|value| over_255(255 * paper + u32::from(value) * paint))
}

/// What the values of an image with one sample a pixel look like.
pub(super) type Palette = [Rgb; 256];

/// A palette of colours that are stored three or four bytes each; black beyond its end.
pub(super) fn palette_of(bytes: &[u8], step: usize, colour: impl Fn(&[u8]) -> Rgb) -> Palette {
    let mut palette = [[0; 3]; 256];
    for (entry, bytes) in palette.iter_mut().zip(bytes.chunks_exact(step)) {
        *entry = colour(bytes);
    }
    palette
}

/// The greys of samples of 1, 2, 4 or 8 bits.
pub(super) fn greys(bits: u8) -> Palette {
    let most = (1_u32 << bits) - 1;
    std::array::from_fn(|value| [(value as u32 * 255 / most) as u8; 3])
}

/// A row of packed samples, the first in the highest bits, as colours.
pub(super) fn unpack(samples: &[u8], bits: u8, palette: &Palette, rgb: &mut [u8]) {
    let a_byte = 8 / usize::from(bits);
    let mask = 0xff >> (8 - bits);
    for (pixels, byte) in rgb.chunks_mut(3 * a_byte).zip(samples) {
        let mut shift = 8;
        for pixel in pixels.chunks_exact_mut(3) {
            shift -= bits;
            pixel.copy_from_slice(&palette[usize::from(byte >> shift & mask)]);
        }
    }
}

/// A row of pixels of four bytes, the last their opacity, as colours.
pub(super) fn flatten(rgba: &[u8], rgb: &mut [u8]) {
    for (pixel, source) in rgb.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
        pixel.copy_from_slice(&on_white([source[0], source[1], source[2]], source[3]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_and_paper_mix_rounded_to_the_nearest() {
        for alpha in 0..=255 {
            for value in 0..=255_u8 {
                let exact = (255 * (255 - i32::from(alpha)) + i32::from(value) * i32::from(alpha))
                    as f64
                    / 255.0;
                assert_eq!(
                    on_white([value; 3], alpha),
                    [exact.round() as u8; 3],
                    "{value} {alpha}"
                );
            }
        }
    }

    #[test]
    fn packed_samples_come_highest_bits_first() {
        let mut rgb = [9; 9];
        unpack(&[0b1001_1111], 2, &greys(2), &mut rgb);
        assert_eq!(rgb, [170, 170, 170, 85, 85, 85, 255, 255, 255]);
        unpack(&[0b1011_1111], 1, &greys(1), &mut rgb);
        assert_eq!(rgb, [255, 255, 255, 0, 0, 0, 255, 255, 255]);
        unpack(&[7, 0, 255], 8, &greys(8), &mut rgb);
        assert_eq!(rgb, [7, 7, 7, 0, 0, 0, 255, 255, 255]);
    }
}
