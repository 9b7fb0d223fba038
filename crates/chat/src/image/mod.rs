//! Images: a file's size becomes a grid of tokens, its pixels become what the vision tower reads.
//!
//! One table of formats serves both, so the grid in the prompt and the pixels always agree. The formats are those that
//! clients send: PNG, JPEG, GIF, WebP and BMP. What a file claims to be (its name, its `data:` label) is not asked; its
//! first bytes say. Must not know: messages, token ids, the vision tower.

mod bmp;
mod colour;
mod gif;
mod grid;
mod jpeg;
mod png;
mod raster;
mod resize;
mod slot;
mod webp;

use crate::base64;
use crate::error::ChatError;
use crate::message::ImageSource;
use crate::tekken::ImageConfig;
use sha2::{Digest as _, Sha256};

pub use grid::ImageGrid;

/// The most pixels an image may have: 8K pictures and 24-megapixel photos pass.
pub const MAX_PIXELS: u64 = 1 << 25;
/// The most pixels on a side: as many as JPEG and GIF can say. It bounds a row.
pub const MAX_SIDE: u32 = 65_535;
/// The most bytes a file may have: 16 megapixels without compression.
pub const MAX_FILE_BYTES: usize = 48 << 20;
/// The most memory that a decoder may need, as the file's header tells, so that a file whose damage shows late costs no
/// more. JPEG may take twice as much: its decoder, like the reference's, paints over damage and goes on.
pub const MAX_DECODE_BYTES: u64 = 60 << 20;

/// An image as the vision tower reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// Pixels a row: a multiple of a token's width.
    pub width: u32,
    /// Rows: a multiple of a token's height.
    pub height: u32,
    /// `[3, height, width]`: red, green and blue, each normalised.
    pub data: Vec<f32>,
}

/// The bytes of an image file.
///
/// # Errors
/// [`ChatError::ImageDecode`] for an address that is no base64 data URL, for malformed base64, or for more than
/// [`MAX_FILE_BYTES`]. `place` names the chunk in the message.
pub fn file_bytes(source: &ImageSource, place: &str) -> Result<Vec<u8>, ChatError> {
    let refused = |what: &str| refused(place, what);
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
    if text.len() / 4 * 3 > MAX_FILE_BYTES {
        return Err(too_many_bytes(place, text.len() / 4 * 3));
    }
    base64::decode(text).map_err(refused)
}

/// What an image file's bytes hash to: equal files have equal pixels.
pub fn digest(file: &[u8]) -> [u8; 32] {
    Sha256::digest(file).into()
}

/// The size in pixels (width, height) of an image file, from its header.
///
/// # Errors
/// [`ChatError::ImageDecode`] for another format, a cut-off header, or a size of nothing or of more than
/// [`MAX_PIXELS`] or [`MAX_SIDE`].
pub fn size_in_pixels(file: &[u8], place: &str) -> Result<(u32, u32), ChatError> {
    header(file, place).map(|(_, size)| size)
}

/// An image file's pixels, resized to its grid's size and normalised, exactly as the reference does it.
///
/// *Cost*: the result, 12 bytes for each of its pixels, and for decoding some rows of a plain PNG or BMP file, one byte
/// for each of a GIF's pixels, three to five for other files and up to twelve where scans or opacity come apart. *Source*: mistral-common,
/// `tokens/tokenizers/image.py`: opacity over white, no turn by EXIF, OpenCV's cubic resize without antialiasing.
///
/// # Errors
/// [`ChatError::ImageDecode`] where [`size_in_pixels`] refuses, and for files that are cut off, damaged, of a kind
/// that is not read, or that take too much memory; `place` names the chunk in the message. Files that are cut off are
/// refused before room is made for their pixels.
pub fn pixels(file: &[u8], config: ImageConfig, place: &str) -> Result<Pixels, ChatError> {
    let (format, size) = header(file, place)?;
    let (width, height) = ImageGrid::of_size(size.0, size.1, config).size_in_pixels(config);
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(refused(
            place,
            &format!(
                "the tokenizer's image settings resize the image to {width} x {height} pixels; expected at most \
                 {MAX_PIXELS} in all"
            ),
        ));
    }
    let decoded = (format.rows)(file, size)
        .and_then(|mut rows| resize::normalised(&mut *rows, size, (width, height)));
    let data = decoded.map_err(|reason| {
        refused(
            place,
            &format!(
                "the {} image of {} x {} pixels cannot be decoded: {reason}; send it whole, smaller, or saved anew as \
                 PNG or JPEG",
                format.name, size.0, size.1
            ),
        )
    })?;
    Ok(Pixels {
        width,
        height,
        data,
    })
}

/// An image's rows, from the top.
trait Rows {
    /// Writes the next row: three bytes for each pixel of the width.
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String>;
}

/// Opens a file of the size that its header gives.
type Open = for<'a> fn(&'a [u8], (u32, u32)) -> Result<Box<dyn Rows + 'a>, String>;

/// A kind of image file.
struct Format {
    name: &'static str,
    /// Whether the file begins as one of this kind.
    is: fn(&[u8]) -> bool,
    /// Width and height as its header gives them; `None` where it is cut off.
    size: fn(&[u8]) -> Option<(u32, u32)>,
    rows: Open,
}

const FORMATS: [Format; 5] = [
    Format {
        name: "PNG",
        is: png::is,
        size: png::size,
        rows: png::rows,
    },
    Format {
        name: "JPEG",
        is: jpeg::is,
        size: jpeg::size,
        rows: jpeg::rows,
    },
    Format {
        name: "GIF",
        is: gif::is,
        size: gif::size,
        rows: gif::rows,
    },
    Format {
        name: "WebP",
        is: webp::is,
        size: webp::size,
        rows: webp::rows,
    },
    Format {
        name: "BMP",
        is: bmp::is,
        size: bmp::size,
        rows: bmp::rows,
    },
];

/// What kind of file it is, and its size within the limits.
fn header(file: &[u8], place: &str) -> Result<(&'static Format, (u32, u32)), ChatError> {
    if file.len() > MAX_FILE_BYTES {
        return Err(too_many_bytes(place, file.len()));
    }
    let Some(format) = FORMATS.iter().find(|format| (format.is)(file)) else {
        let first = &file[..file.len().min(8)];
        return Err(refused(
            place,
            &format!(
                "not an image file of a known format: expected PNG, JPEG, GIF, WebP or BMP, got {} bytes that begin \
                 with {first:02x?}",
                file.len()
            ),
        ));
    };
    let name = format.name;
    let Some((width, height)) = (format.size)(file) else {
        return Err(refused(
            place,
            &format!(
                "the {name} image has no whole header in its {} bytes; send the whole file",
                file.len()
            ),
        ));
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
        return Err(refused(
            place,
            &format!(
                "the {name} image is {width} x {height} pixels; expected 1 to {MAX_PIXELS} in all and at most \
                 {MAX_SIDE} on a side; scale it down"
            ),
        ));
    }
    Ok((format, (width, height)))
}

fn refused(place: &str, what: &str) -> ChatError {
    ChatError::ImageDecode(format!("{place}: {what}"))
}

fn too_many_bytes(place: &str, bytes: usize) -> ChatError {
    refused(
        place,
        &format!("the image has {bytes} bytes; expected at most {MAX_FILE_BYTES}; scale it down"),
    )
}

/// Checks what decoding will take, before anything of that size is made room for.
fn decode_memory(bytes: u64, most: u64) -> Result<(), String> {
    if bytes > most {
        return Err(format!(
            "that takes {bytes} bytes of memory; expected at most {most}"
        ));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_gif_s_screen_holds_its_first_frame() {
        let file = b"GIF89a\x09\0\x07\0\x80\0\0abcdef!\xfe\x01x\0,\x02\0\x01\0\x08\0\x03\0\0";
        assert_eq!(size_in_pixels(file, "here"), Ok((10, 7)));
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
