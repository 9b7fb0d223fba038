//! WebP files: lossy, lossless, and an animation's first frame.
//!
//! Whatever the container, its first image's chunks are put into a container of their own for the decoder. Must not
//! know: other formats, sizes of prompts.

use super::colour::WHITE;
use super::raster::{Pixel, Raster};
use super::{MAX_DECODE_BYTES, Rows, decode_memory, little};
use image_webp::WebPDecoder;
use std::io::Cursor;

/// The decoder's memory a pixel, in eighths of a byte: planes of brightness and colour, the result, and where there is
/// opacity its own plane, decoded as a lossless image.
const LOSSY: u64 = 12 + 24;
const LOSSY_ALPHA: u64 = 12 + 32 + 32 + 8;
const LOSSLESS: u64 = 32;

/// The flag in the extended header that says there is opacity.
const ALPHA: u8 = 0x10;
/// The flag that says there are frames.
const ANIMATION: u8 = 0x02;

pub(super) fn is(file: &[u8]) -> bool {
    file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP")
}

/// The size of a lossy, a lossless or an extended file.
pub(super) fn size(file: &[u8]) -> Option<(u32, u32)> {
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

/// The chunks in a stretch of the file, up to the first that does not fit.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = little(bytes, 4, 4)? as usize;
        let chunk = (&bytes[..4], bytes.get(8..8 + length)?);
        bytes = bytes.get(8 + length + length % 2..).unwrap_or_default();
        Some(chunk)
    })
}

/// The chunks of one image.
struct Still<'a> {
    /// `ALPH`, the opacity of a lossy image.
    alpha: Option<&'a [u8]>,
    /// `VP8 ` or `VP8L`, and its content.
    image: (&'a [u8], &'a [u8]),
    /// Its corner on the canvas.
    corner: (u32, u32),
    size: (u32, u32),
    /// Whether its opacity counts.
    transparent: bool,
}

/// The file's only image, or its first frame.
fn still(file: &[u8], size: (u32, u32)) -> Result<Still<'_>, String> {
    let riff_bytes = little(file, 4, 4).unwrap_or(0) as usize;
    let body = file
        .get(12..8_usize.saturating_add(riff_bytes))
        .ok_or_else(|| {
            format!(
                "the file ends within its image data: {} bytes of {}",
                file.len(),
                riff_bytes as u64 + 8
            )
        })?;
    let extended = chunks(body).next().filter(|(name, _)| *name == b"VP8X");
    let flags = extended.and_then(|(_, content)| content.first().copied());
    let animated = flags.is_some_and(|flags| flags & ANIMATION != 0);
    let frame = chunks(body).find(|(name, _)| animated && *name == b"ANMF");
    let (content, corner, size) = match frame {
        Some((_, frame)) => {
            let number = |at| little(frame, at, 3).ok_or("its first frame lacks its header");
            let corner = (number(0)? * 2, number(3)? * 2);
            let frame_size = (number(6)? + 1, number(9)? + 1);
            if corner.0 + frame_size.0 > size.0 || corner.1 + frame_size.1 > size.1 {
                return Err("its first frame reaches beyond the canvas".to_owned());
            }
            (frame.get(16..).unwrap_or_default(), corner, frame_size)
        }
        None => (body, (0, 0), size),
    };
    let find = |wanted: &[&[u8]]| chunks(content).find(|(name, _)| wanted.contains(name));
    let image = find(&[b"VP8 ", b"VP8L"]).ok_or("it holds no whole image")?;
    let alpha = find(&[b"ALPH"]).map(|(_, content)| content);
    Ok(Still {
        alpha,
        image,
        corner,
        size,
        transparent: match flags {
            Some(flags) => flags & ALPHA != 0,
            // The lossless header's hint, above two sides of 14 bits.
            None => image.0 == b"VP8L" && image.1.get(4).is_some_and(|bits| bits & ALPHA != 0),
        },
    })
}

impl Still<'_> {
    fn is_lossless(&self) -> bool {
        self.image.0 == b"VP8L"
    }

    /// About how many bytes its own file has.
    fn file_bytes(&self) -> usize {
        self.image.1.len() + self.alpha.map_or(0, <[u8]>::len)
    }

    /// A file of its own. A lossless image is said to have opacity even if it has none: the decoder then writes its
    /// result where it decodes, without a copy.
    fn to_file(&self) -> Vec<u8> {
        let flags = if self.is_lossless() || self.alpha.is_some() {
            ALPHA
        } else {
            0
        };
        let mut header = vec![flags, 0, 0, 0];
        for side in [self.size.0, self.size.1] {
            header.extend(&(side - 1).to_le_bytes()[..3]);
        }
        let mut body = b"WEBP".to_vec();
        let alpha = self.alpha.map(|content| (&b"ALPH"[..], content));
        for (name, content) in [(&b"VP8X"[..], &header[..])]
            .into_iter()
            .chain(alpha)
            .chain([self.image])
        {
            body.extend(name);
            body.extend((content.len() as u32).to_le_bytes());
            body.extend(content);
            body.resize(body.len().next_multiple_of(2), 0);
        }
        let mut file = b"RIFF".to_vec();
        file.extend((body.len() as u32).to_le_bytes());
        file.append(&mut body);
        file
    }
}

pub(super) fn rows(file: &[u8], size: (u32, u32)) -> Result<Box<dyn Rows + '_>, String> {
    let still = still(file, size)?;
    let (eighths, pixel) = match (still.is_lossless(), still.alpha, still.transparent) {
        (true, _, true) => (LOSSLESS, Pixel::Rgba),
        (true, _, false) => (LOSSLESS, Pixel::Rgbx),
        (false, Some(_), true) => (LOSSY_ALPHA, Pixel::Rgba),
        (false, Some(_), false) => (LOSSY_ALPHA, Pixel::Rgbx),
        (false, None, _) => (LOSSY, Pixel::Rgb),
    };
    let pixels = u64::from(still.size.0) * u64::from(still.size.1);
    let alone = still.file_bytes() as u64;
    decode_memory(alone + pixels * eighths / 8, MAX_DECODE_BYTES)?;
    let refused = |error: image_webp::DecodingError| error.to_string();
    let mut decoder = WebPDecoder::new(Cursor::new(still.to_file())).map_err(refused)?;
    let mut samples = vec![0; pixels as usize * pixel.bytes()];
    decoder.read_image(&mut samples).map_err(refused)?;
    // Without opacity an animation's canvas is black.
    let around = if still.transparent { WHITE } else { [0; 3] };
    Ok(Box::new(Raster::at(
        still.corner,
        around,
        samples,
        pixel,
        still.size,
    )))
}
