//! JPEG files: grey, colour and CMYK, sequential and progressive, always decoded whole.
//!
//! Must not know: other formats, sizes of prompts.

use super::raster::{Pixel, Raster};
use super::{MAX_DECODE_BYTES, Rows, big, decode_memory};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// More scans than encoders write: a few bytes of scan cost a pass over the whole image.
const MAX_SCANS: usize = 64;

pub(super) fn is(file: &[u8]) -> bool {
    file.starts_with(b"\xff\xd8\xff")
}

pub(super) fn size(file: &[u8]) -> Option<(u32, u32)> {
    frame(file).map(|frame| (frame.width, frame.height))
}

/// What the first start-of-frame segment says.
struct Frame {
    width: u32,
    height: u32,
    /// The segment's marker: the kind of coding.
    marker: u8,
    /// Horizontal and vertical sampling of each component.
    sampling: Vec<(u32, u32)>,
    /// Where the segment ends.
    end: usize,
}

fn frame(file: &[u8]) -> Option<Frame> {
    let mut at = 2;
    loop {
        let marker = next_marker(file, &mut at)?;
        match marker {
            // Start of frame, but for Huffman tables (c4), an extension (c8) and arithmetic tables (cc).
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let (height, width) = (big(file, at + 3, 2)?, big(file, at + 5, 2)?);
                let components = file.get(at + 8..).unwrap_or_default();
                let count = usize::from(*file.get(at + 7).unwrap_or(&0));
                let sampling = components.chunks_exact(3).take(count);
                return Some(Frame {
                    width,
                    height,
                    marker,
                    sampling: sampling
                        .map(|component| {
                            (u32::from(component[1] >> 4), u32::from(component[1] & 15))
                        })
                        .collect(),
                    end: at + big(file, at, 2)? as usize,
                });
            }
            // Without a body: stuffing, restarts, start of image.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            // End of image, start of scan: no frame came.
            0xd9 | 0xda => return None,
            _ => at += big(file, at, 2)?.max(2) as usize,
        }
    }
}

/// The next marker, and `at` behind it: any number of 0xff and one other byte. Bytes before it belong to nothing.
fn next_marker(file: &[u8], at: &mut usize) -> Option<u8> {
    *at += file.get(*at..)?.iter().position(|byte| *byte == 0xff)?;
    *at += file.get(*at..)?.iter().position(|byte| *byte != 0xff)?;
    *at += 1;
    file.get(*at - 1).copied()
}

impl Frame {
    /// Checks that the scans are there and end: a file that is cut off is refused before room is made for its pixels.
    /// Returns whether the first scan holds all components.
    fn check_scans(&self, file: &[u8]) -> Result<bool, String> {
        let cut = || "the file ends within its image data".to_owned();
        let mut at = self.end;
        while next_marker(file, &mut at).ok_or_else(cut)? != 0xda {
            at += big(file, at, 2).ok_or_else(cut)?.max(2) as usize;
        }
        let in_scan = usize::from(*file.get(at + 2).ok_or_else(cut)?);
        while next_marker(file, &mut at).ok_or_else(cut)? != 0xd9 {}
        Ok(in_scan == self.sampling.len())
    }

    /// What decoding takes: the result's bytes, and two for each coefficient where they come in several scans.
    fn decode_bytes(&self, pixel_bytes: u64, in_one_scan: bool) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        if in_one_scan && self.marker != 0xc2 {
            return pixels * pixel_bytes;
        }
        let most = |factor: fn(&(u32, u32)) -> u32| self.sampling.iter().map(factor).max();
        let across = most(|sampling| sampling.0).unwrap_or(1).max(1);
        let down = most(|sampling| sampling.1).unwrap_or(1).max(1);
        let units =
            u64::from(self.width.div_ceil(8 * across)) * u64::from(self.height.div_ceil(8 * down));
        let blocks = |(across, down): &(u32, u32)| u64::from(across * down);
        let coefficients = units * self.sampling.iter().map(blocks).sum::<u64>() * 64;
        pixels * pixel_bytes + 2 * coefficients
    }
}

pub(super) fn rows(file: &[u8], size: (u32, u32)) -> Result<Box<dyn Rows + '_>, String> {
    let frame = frame(file).ok_or("it has no start of frame")?;
    if !matches!(frame.marker, 0xc0..=0xc2) {
        return Err(format!(
            "its coding (start of frame {:02x}) is not read; expected baseline, sequential or progressive Huffman \
             coding",
            frame.marker
        ));
    }
    let (pixel, colours) = match frame.sampling.len() {
        1 => (Pixel::Grey, ColorSpace::Luma),
        3 | 4 => (Pixel::Rgb, ColorSpace::RGB),
        other => return Err(format!("it has {other} components; expected 1, 3 or 4")),
    };
    let in_one_scan = frame.check_scans(file)?;
    let bytes = pixel.bytes() as u64 * u64::from(size.0) * u64::from(size.1);
    decode_memory(
        frame.decode_bytes(pixel.bytes() as u64, in_one_scan),
        2 * MAX_DECODE_BYTES,
    )?;
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let mut samples = vec![0; bytes as usize];
    decoder
        .decode_into(&mut samples)
        .map_err(|error| error.to_string())?;
    let decoded = decoder.dimensions();
    if decoded != Some((size.0 as usize, size.1 as usize)) {
        return Err(format!(
            "it has two sizes, {} x {} pixels and {decoded:?}",
            size.0, size.1
        ));
    }
    Ok(Box::new(Raster::new(samples, pixel, size)))
}
