//! Images as the prompt sees them: a size in pixels becomes a grid of tokens.
//!
//! Only an image file's header is read, for the size; pixels are decoded where they are needed. The formats are those
//! that clients send: PNG, JPEG, GIF, WebP and BMP. Must not know: pixels, messages, token ids.

use crate::base64;
use crate::error::ChatError;
use crate::message::ImageSource;
use crate::tekken::ImageConfig;

/// More pixels than the reference opens: twice the limit at which its image library warns.
const MAX_PIXELS: u64 = 2 * 89_478_485;

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
        let unit = config.patch_size.saturating_mul(config.spatial_merge_size);
        let tokens = |side: u32| (scaled(side) - 1) / unit + 1;
        Self {
            width: tokens(width),
            height: tokens(height),
        }
    }

    /// How many tokens of the prompt the image takes, row ends included.
    pub fn num_tokens(self) -> usize {
        (self.width as usize + 1) * self.height as usize
    }
}

/// The bytes of an image file.
///
/// # Errors
/// [`ChatError::ImageDecode`] for an address that is no base64 data URL, or for malformed base64. `place` names the
/// chunk in the message.
pub fn file_bytes(source: &ImageSource, place: &str) -> Result<Vec<u8>, ChatError> {
    let refused = |what: &str| ChatError::ImageDecode(format!("{place}: {what}"));
    let text = match source {
        ImageSource::Base64(text) => text,
        ImageSource::Url(url) if url.starts_with("data:") => match url.split_once(',') {
            Some((header, payload)) if header.ends_with(";base64") && !payload.is_empty() => {
                payload
            }
            _ => {
                return Err(refused(
                    "expected a data URL of the form data:<mime>;base64,<bytes>",
                ));
            }
        },
        ImageSource::Url(url) if url.starts_with("http") => {
            return Err(refused(
                "an image given by address has to be fetched first and put in as a data URL",
            ));
        }
        ImageSource::Url(_) => {
            return Err(refused(
                "unknown kind of image address; expected data:<mime>;base64,<bytes>",
            ));
        }
    };
    base64::decode(text).map_err(refused)
}

/// The size in pixels (width, height) of an image file, from its header.
///
/// # Errors
/// [`ChatError::ImageDecode`] for another format, a cut-off header, or a size of nothing or of too much.
pub fn size_in_pixels(file: &[u8], place: &str) -> Result<(u32, u32), ChatError> {
    let refused = |what: String| ChatError::ImageDecode(format!("{place}: {what}"));
    let formats = [png, gif, bmp, webp, jpeg];
    let size = formats.into_iter().find_map(|size| size(file));
    let (width, height) = size.ok_or_else(|| {
        refused("not an image file of a known format (PNG, JPEG, GIF, WebP, BMP)".to_owned())
    })?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(refused(format!(
            "the image is {width} x {height} pixels; at most {MAX_PIXELS} can be read"
        )));
    }
    Ok((width, height))
}

/// `count` bytes at `at` as a little-endian number; `None` beyond the end.
fn little(file: &[u8], at: usize, count: usize) -> Option<u32> {
    let bytes = file.get(at..at + count)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)),
    )
}

/// The same, big-endian.
fn big(file: &[u8], at: usize, count: usize) -> Option<u32> {
    let bytes = file.get(at..at + count)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)),
    )
}

fn png(file: &[u8]) -> Option<(u32, u32)> {
    let is_png = file.starts_with(b"\x89PNG\r\n\x1a\n") && file.get(12..16)? == b"IHDR";
    if is_png {
        Some((big(file, 16, 4)?, big(file, 20, 4)?))
    } else {
        None
    }
}

fn gif(file: &[u8]) -> Option<(u32, u32)> {
    let is_gif = file.starts_with(b"GIF87a") || file.starts_with(b"GIF89a");
    if is_gif {
        Some((little(file, 6, 2)?, little(file, 8, 2)?))
    } else {
        None
    }
}

/// Both header forms: OS/2 with 16-bit sides, Windows with 32-bit ones, where a negative height means top-down.
fn bmp(file: &[u8]) -> Option<(u32, u32)> {
    if !file.starts_with(b"BM") {
        return None;
    }
    match little(file, 14, 4)? {
        12 => Some((little(file, 18, 2)?, little(file, 20, 2)?)),
        _ => Some((
            little(file, 18, 4)?,
            (little(file, 22, 4)? as i32).unsigned_abs(),
        )),
    }
}

/// The three kinds of WebP: lossy, lossless, extended.
fn webp(file: &[u8]) -> Option<(u32, u32)> {
    if !(file.starts_with(b"RIFF") && file.get(8..12)? == b"WEBP") {
        return None;
    }
    match file.get(12..16)? {
        b"VP8 " => Some((little(file, 26, 2)? & 0x3fff, little(file, 28, 2)? & 0x3fff)),
        b"VP8L" => {
            let bits = little(file, 21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((little(file, 24, 3)? + 1, little(file, 27, 3)? + 1)),
        _ => None,
    }
}

/// The size in the first start-of-frame segment.
fn jpeg(file: &[u8]) -> Option<(u32, u32)> {
    if !file.starts_with(b"\xff\xd8\xff") {
        return None;
    }
    let mut at = 2;
    loop {
        // A marker is any number of 0xff and one other byte; bytes before it belong to nothing.
        at += file.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += file.get(at..)?.iter().position(|byte| *byte != 0xff)?;
        let marker = *file.get(at)?;
        at += 1;
        match marker {
            // Start of frame, but for Huffman tables (c4), an extension (c8) and arithmetic tables (cc).
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((big(file, at + 5, 2)?, big(file, at + 3, 2)?));
            }
            // Without a body: stuffing, restarts, start of image.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            // End of image, start of scan: no frame came.
            0xd9 | 0xda => return None,
            _ => at += big(file, at, 2)?.max(2) as usize,
        }
    }
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
        }
    }

    #[test]
    fn headers_of_every_format() {
        let jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc4\x00\x02\xff\xc2\x00\x11\x08\x00\x07\x00\x09\x03";
        let mut bmp = b"BM".to_vec();
        bmp.extend([0; 12]);
        bmp.extend(40_u32.to_le_bytes());
        bmp.extend(9_i32.to_le_bytes());
        bmp.extend((-7_i32).to_le_bytes());
        let files: [&[u8]; 7] = [
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x09\0\0\0\x07",
            b"GIF89a\x09\0\x07\0",
            &bmp,
            b"RIFF....WEBPVP8 ....\0\0\0\x9d\x01\x2a\x09\0\x07\0",
            b"RIFF....WEBPVP8L....\x2f\x08\x80\x01\x00",
            b"RIFF....WEBPVP8X....\0\0\0\0\x08\0\0\x06\0\0",
            jpeg,
        ];
        for file in files {
            assert_eq!(size_in_pixels(file, "here"), Ok((9, 7)), "{file:?}");
            for cut in 0..file.len() {
                // A cut header is an error or, past the size, the same size; never a panic.
                let size = size_in_pixels(&file[..cut], "here");
                assert!(size.is_err() || size == Ok((9, 7)));
            }
        }
    }

    #[test]
    fn only_base64_data_urls_are_bytes() {
        let bytes = |url: &str| file_bytes(&ImageSource::Url(url.to_owned()), "here").ok();
        assert_eq!(bytes("data:image/png;base64,YWI="), Some(b"ab".to_vec()));
        assert_eq!(bytes("data:;charset=x;base64,YWI="), Some(b"ab".to_vec()));
        for url in [
            "data:image/png,YWI=",
            "data:image/png;base64,",
            "data:x",
            "http://a/b",
            "file:///etc/passwd",
            "x",
        ] {
            assert_eq!(bytes(url), None, "{url}");
        }
    }
}
