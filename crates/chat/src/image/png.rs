//! PNG files, row by row; interlaced ones are decoded whole.
//!
//! The quirks are the reference's: 16-bit greys above 255 are white, other 16-bit samples lose their lower byte, a
//! transparent colour counts for greys and palettes but not for RGB. Must not know: other formats, sizes of prompts.

use super::colour::{Palette, WHITE, flatten, greys, on_white, palette_of, unpack};
use super::{MAX_DECODE_BYTES, Rows, big, decode_memory};
use png::{BitDepth, ColorType, Info, Transformations};
use std::io::Cursor;

/// An animation may say so of its first frame.
const OTHER_SIZE: &str = "its image data has another size than its header says";

pub(super) fn is(file: &[u8]) -> bool {
    file.starts_with(b"\x89PNG\r\n\x1a\n")
}

pub(super) fn size(file: &[u8]) -> Option<(u32, u32)> {
    if file.get(12..16)? != b"IHDR" {
        return None;
    }
    Some((big(file, 16, 4)?, big(file, 20, 4)?))
}

pub(super) fn rows(file: &[u8], size: (u32, u32)) -> Result<Box<dyn Rows + '_>, String> {
    let refused = |error: png::DecodingError| error.to_string();
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refused)?;
    if header.color_type != ColorType::Grayscale {
        decoder.set_transformations(Transformations::STRIP_16);
    }
    let mut reader = decoder.read_info().map_err(refused)?;
    let samples = samples(reader.info())?;
    let line_bytes = reader.output_line_size(size.0).ok_or(OTHER_SIZE)?;
    if !reader.info().interlaced {
        return Ok(Box::new(Streamed {
            reader,
            samples,
            line_bytes,
            rows_left: size.1,
        }));
    }
    let bytes = line_bytes as u64 * u64::from(size.1);
    decode_memory(bytes, MAX_DECODE_BYTES)?;
    if !has_all_data(file) {
        return Err("the file ends within its image data".to_owned());
    }
    let mut lines = vec![0; bytes as usize];
    let decoded = reader.next_frame(&mut lines).map_err(refused)?;
    if (decoded.width, decoded.height) != size || decoded.line_size != line_bytes {
        return Err(OTHER_SIZE.to_owned());
    }
    Ok(Box::new(Whole {
        lines,
        line_bytes,
        num_read: 0,
        samples,
    }))
}

/// Whether some chunk follows the image data: a file that is cut off is refused before room is made for its pixels.
fn has_all_data(file: &[u8]) -> bool {
    let mut at = 8;
    while let (Some(length), Some(name)) = (big(file, at, 4), file.get(at + 4..at + 8)) {
        if name == b"IEND" {
            return true;
        }
        at += length as usize + 12;
    }
    false
}

/// How a row's samples are stored.
enum Samples {
    /// One of `bits` a pixel, seen through a palette.
    Indexed { bits: u8, palette: Box<Palette> },
    /// Two bytes a pixel, all above 255 white, one grey transparent.
    WideGrey { transparent: Option<u8> },
    /// A byte of grey and one of opacity.
    GreyAlpha,
    /// Three bytes.
    Rgb,
    /// Three bytes and one of opacity.
    Rgba,
}

fn samples(info: &Info) -> Result<Samples, String> {
    let bits = info.bit_depth as u8;
    let trns = info.trns.as_deref();
    // The lower byte of the transparent grey: no more of it is looked at.
    let grey = trns.and_then(|trns| trns.last().copied());
    Ok(match info.color_type {
        ColorType::Grayscale if info.bit_depth == BitDepth::Sixteen => {
            Samples::WideGrey { transparent: grey }
        }
        ColorType::Grayscale => {
            let mut palette = Box::new(greys(bits));
            if let Some(grey) = grey {
                // With one bit a sample, any value but 0 means white; else it is compared after scaling to 8 bits.
                let grey = if bits == 1 && grey > 0 { 255 } else { grey };
                for colour in palette.iter_mut().filter(|colour| colour[0] == grey) {
                    *colour = WHITE;
                }
            }
            Samples::Indexed { bits, palette }
        }
        ColorType::Indexed => {
            let colours = info.palette.as_deref().ok_or("it lacks its palette")?;
            let mut palette = Box::new(palette_of(colours, 3, |rgb| [rgb[0], rgb[1], rgb[2]]));
            for (colour, alpha) in palette.iter_mut().zip(trns.unwrap_or_default()) {
                *colour = on_white(*colour, *alpha);
            }
            Samples::Indexed { bits, palette }
        }
        ColorType::GrayscaleAlpha => Samples::GreyAlpha,
        ColorType::Rgb => Samples::Rgb,
        ColorType::Rgba => Samples::Rgba,
    })
}

impl Samples {
    fn to_rgb(&self, line: &[u8], rgb: &mut [u8]) {
        match self {
            Self::Indexed { bits, palette } => unpack(line, *bits, palette, rgb),
            Self::WideGrey { transparent } => {
                for (pixel, grey) in rgb.chunks_exact_mut(3).zip(line.chunks_exact(2)) {
                    let clipped = if grey[0] > 0 { 255 } else { grey[1] };
                    let seen = if Some(clipped) == *transparent {
                        255
                    } else {
                        clipped
                    };
                    pixel.fill(seen);
                }
            }
            Self::GreyAlpha => {
                for (pixel, grey) in rgb.chunks_exact_mut(3).zip(line.chunks_exact(2)) {
                    pixel.copy_from_slice(&on_white([grey[0]; 3], grey[1]));
                }
            }
            Self::Rgb => rgb.copy_from_slice(&line[..rgb.len()]),
            Self::Rgba => flatten(line, rgb),
        }
    }
}

/// Rows as they come out of the decoder.
struct Streamed<'a> {
    reader: png::Reader<Cursor<&'a [u8]>>,
    samples: Samples,
    line_bytes: usize,
    rows_left: u32,
}

impl Rows for Streamed<'_> {
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let refused = |error: png::DecodingError| error.to_string();
        let row = self.reader.next_row().map_err(refused)?;
        let row = row
            .filter(|row| row.data().len() == self.line_bytes)
            .ok_or(OTHER_SIZE)?;
        self.samples.to_rgb(row.data(), rgb);
        self.rows_left -= 1;
        if self.rows_left == 0 {
            // The data's checksum comes after the last row.
            self.reader.next_row().map_err(refused)?;
        }
        Ok(())
    }
}

/// Rows of an image decoded before.
struct Whole {
    lines: Vec<u8>,
    line_bytes: usize,
    num_read: usize,
    samples: Samples,
}

impl Rows for Whole {
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let line = &self.lines[self.num_read * self.line_bytes..][..self.line_bytes];
        self.num_read += 1;
        self.samples.to_rgb(line, rgb);
        Ok(())
    }
}
