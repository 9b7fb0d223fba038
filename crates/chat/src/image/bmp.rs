//! BMP files: palettes, 16, 24 and 32 bits, run-length compression.
//!
//! What is read and what is refused is the reference's choice: opacity counts only where a mask names it. Must not
//! know: other formats, sizes of prompts.

use super::colour::{Palette, on_white, palette_of, unpack};
use super::{MAX_DECODE_BYTES, Rows, decode_memory, little};

pub(super) fn is(file: &[u8]) -> bool {
    file.starts_with(b"BM")
}

/// Both header forms: OS/2 with 16-bit sides, Windows with 32-bit ones, where a negative height means top-down.
pub(super) fn size(file: &[u8]) -> Option<(u32, u32)> {
    match little(file, 14, 4)? {
        12 => Some((little(file, 18, 2)?, little(file, 20, 2)?)),
        _ => Some((
            little(file, 18, 4)?,
            (little(file, 22, 4)? as i32).unsigned_abs(),
        )),
    }
}

/// How a row's pixels are stored.
enum Pixels {
    Indexed {
        bits: u8,
        palette: Box<Palette>,
    },
    /// 16 bits: for each colour its shift and its most.
    Fields([(u32, u32); 3]),
    /// Some bytes a pixel, and in which of them each colour and the opacity are.
    Bytes {
        step: usize,
        rgb: [usize; 3],
        alpha: Option<usize>,
    },
}

const FIELDS_555: [(u32, u32); 3] = [(10, 31), (5, 31), (0, 31)];
const FIELDS_565: [(u32, u32); 3] = [(11, 31), (5, 63), (0, 31)];

/// The values of the compression field.
const PLAIN: u32 = 0;
const RUNS_OF_BYTES: u32 = 1;
const RUNS_OF_NIBBLES: u32 = 2;
const MASKS: u32 = 3;

const CUT_HEADER: &str = "the file ends within its header";

/// What the header says of the pixels.
struct Layout {
    bits: u32,
    compression: u32,
    top_down: bool,
    /// Where the pixels begin.
    offset: usize,
    pixels: Pixels,
}

/// Where a palette lies: its place, how many colours, and the bytes of each.
struct PalettePlace {
    at: usize,
    colours: usize,
    entry: usize,
}

impl Layout {
    fn read(file: &[u8]) -> Result<Self, String> {
        let header = little(file, 14, 4).unwrap_or(0) as usize;
        let is_windows = matches!(header, 40 | 52 | 56 | 64 | 108 | 124);
        if header != 12 && !is_windows {
            return Err(format!(
                "its header has {header} bytes; expected 12, 40, 52, 56, 64, 108 or 124"
            ));
        }
        if file.len() < 14 + header {
            return Err(CUT_HEADER.to_owned());
        }
        let number = |at, bytes| little(file, at, bytes).ok_or(CUT_HEADER);
        let (bits, compression, colours, entry) = if is_windows {
            (number(28, 2)?, number(30, 4)?, number(46, 4)?, 4)
        } else {
            (number(24, 2)?, PLAIN, 0, 3)
        };
        let colours = match (bits, colours) {
            (1 | 4 | 8, 0) => 1 << bits,
            (1 | 4 | 8, given) => given as usize,
            _ => 0,
        };
        if colours > 65536 {
            return Err(format!(
                "its palette has {colours} colours; expected at most 65536"
            ));
        }
        // Masks follow a header that has no room for them.
        let masks = if header == 40 && compression == MASKS {
            12
        } else {
            0
        };
        let palette = PalettePlace {
            at: 14 + header + masks,
            colours,
            entry,
        };
        let offset = match number(10, 4)? as usize {
            0 => palette.at + colours * entry,
            // Some writers forget the palette.
            at if at == 14 + header => at + colours * entry,
            at => at,
        };
        Ok(Self {
            bits,
            compression,
            top_down: is_windows && file[25] == 0xff,
            offset,
            pixels: Pixels::read(file, header, (bits, compression), &palette)?,
        })
    }
}

impl Pixels {
    fn read(
        file: &[u8],
        header: usize,
        (bits, compression): (u32, u32),
        palette: &PalettePlace,
    ) -> Result<Self, String> {
        match (bits, compression) {
            (1 | 4 | 8, PLAIN) | (8, RUNS_OF_BYTES) | (4, RUNS_OF_NIBBLES) => {
                let until = (palette.at + palette.colours * palette.entry).min(file.len());
                let bytes = file.get(palette.at..until).unwrap_or_default();
                let colours = palette_of(bytes, palette.entry, |bgr| [bgr[2], bgr[1], bgr[0]]);
                Ok(Self::Indexed {
                    bits: bits as u8,
                    palette: Box::new(colours),
                })
            }
            (16, PLAIN) => Ok(Self::Fields(FIELDS_555)),
            (24 | 32, PLAIN) => Ok(Self::Bytes {
                step: bits as usize / 8,
                rgb: [2, 1, 0],
                alpha: None,
            }),
            (16 | 24 | 32, MASKS) => {
                let count = if header >= 56 { 4 } else { 3 };
                let mut masks = [0; 4];
                for (index, mask) in masks.iter_mut().enumerate().take(count) {
                    *mask = little(file, 54 + 4 * index, 4).ok_or(CUT_HEADER)?;
                }
                masked(bits, masks)
            }
            _ => Err(format!(
                "it has {bits} bits a pixel and compression {compression}, a pair that is not read"
            )),
        }
    }
}

/// The pixels that masks for red, green, blue and opacity describe.
fn masked(bits: u32, masks: [u32; 4]) -> Result<Pixels, String> {
    let byte = |mask: u32| (0..4).find(|byte| mask == 0xff << (8 * byte));
    let pixels = match (bits, masks) {
        (16, [0xf800, 0x7e0, 0x1f, _]) => Some(Pixels::Fields(FIELDS_565)),
        (16, [0x7c00, 0x3e0, 0x1f, _]) => Some(Pixels::Fields(FIELDS_555)),
        (24, [0xff_0000, 0xff00, 0xff, _]) => Some(Pixels::Bytes {
            step: 3,
            rgb: [2, 1, 0],
            alpha: None,
        }),
        // No masks at all: blue, green, red, opacity.
        (32, [0, 0, 0, 0]) => Some(Pixels::Bytes {
            step: 4,
            rgb: [2, 1, 0],
            alpha: Some(3),
        }),
        (32, [red, green, blue, alpha]) => match (byte(red), byte(green), byte(blue)) {
            (Some(red), Some(green), Some(blue)) if alpha == 0 || byte(alpha).is_some() => {
                Some(Pixels::Bytes {
                    step: 4,
                    rgb: [red, green, blue],
                    alpha: byte(alpha),
                })
            }
            _ => None,
        },
        _ => None,
    };
    pixels.ok_or_else(|| {
        let [red, green, blue, alpha] = masks;
        format!("its masks {red:x}, {green:x}, {blue:x}, {alpha:x} for {bits} bits are not read")
    })
}

impl Pixels {
    fn to_rgb(&self, line: &[u8], rgb: &mut [u8]) {
        match self {
            Self::Indexed { bits, palette } => unpack(line, *bits, palette, rgb),
            Self::Fields(fields) => {
                for (pixel, bytes) in rgb.chunks_exact_mut(3).zip(line.chunks_exact(2)) {
                    let word = u32::from(bytes[0]) | u32::from(bytes[1]) << 8;
                    for (value, (shift, most)) in pixel.iter_mut().zip(fields) {
                        *value = ((word >> shift & most) * 255 / most) as u8;
                    }
                }
            }
            Self::Bytes {
                step,
                rgb: places,
                alpha,
            } => {
                for (pixel, bytes) in rgb.chunks_exact_mut(3).zip(line.chunks_exact(*step)) {
                    let colour = places.map(|place| bytes[place]);
                    let alpha = alpha.map_or(255, |place| bytes[place]);
                    pixel.copy_from_slice(&on_white(colour, alpha));
                }
            }
        }
    }
}

pub(super) fn rows(file: &[u8], size: (u32, u32)) -> Result<Box<dyn Rows + '_>, String> {
    let mut layout = Layout::read(file)?;
    let (width, height) = (size.0 as usize, size.1 as usize);
    let cut = "the file ends within its image data";
    let data = file.get(layout.offset..).ok_or(cut)?;
    let (lines, line_bytes, stride) = match layout.compression {
        RUNS_OF_BYTES | RUNS_OF_NIBBLES => {
            decode_memory(width as u64 * height as u64, MAX_DECODE_BYTES)?;
            let nibbles = layout.compression == RUNS_OF_NIBBLES;
            let indices = unrolled(data, layout.offset, width, height, nibbles)?;
            if let Pixels::Indexed { bits, .. } = &mut layout.pixels {
                *bits = 8;
            }
            (Lines::Made(indices), width, width)
        }
        _ => {
            let bits = width * layout.bits as usize;
            let (line_bytes, stride) = (bits.div_ceil(8), bits.div_ceil(32) * 4);
            // The last row may lack its padding.
            if data.len() < stride * (height - 1) + line_bytes {
                return Err(cut.to_owned());
            }
            (Lines::InFile(data), line_bytes, stride)
        }
    };
    Ok(Box::new(Picture {
        lines,
        line_bytes,
        stride,
        height,
        layout,
        num_read: 0,
    }))
}

/// The indices in a run-length compressed image, `at` being where in the file they begin.
fn unrolled(
    data: &[u8],
    at: usize,
    width: usize,
    height: usize,
    nibbles: bool,
) -> Result<Vec<u8>, String> {
    let most = width * height;
    let mut indices = Vec::with_capacity(most);
    let mut bytes = data.iter().copied();
    let mut x = 0;
    while indices.len() < most {
        let (Some(count), Some(value)) = (bytes.next(), bytes.next()) else {
            break;
        };
        let value_at = |place: usize, byte: u8| match (nibbles, place % 2) {
            (false, _) => byte,
            (true, 0) => byte >> 4,
            (true, _) => byte & 15,
        };
        match (count, value) {
            (0, 0) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let (Some(right), Some(up)) = (bytes.next(), bytes.next()) else {
                    break;
                };
                let skipped = usize::from(right) + usize::from(up) * width;
                indices.resize(most.min(indices.len() + skipped), 0);
                x = indices.len() % width;
            }
            (0, literal) => {
                let count = usize::from(literal).min(most - indices.len());
                for place in 0..count {
                    let byte = match (nibbles, place % 2) {
                        // The second index of a byte is in the byte just read.
                        (true, 1) => continue,
                        _ => bytes.next(),
                    };
                    let Some(byte) = byte else { break };
                    indices.push(value_at(0, byte));
                    if nibbles && place + 1 < count {
                        indices.push(value_at(1, byte));
                    }
                }
                x += usize::from(literal);
                // Runs begin at even places of the file.
                if !(at + data.len() - bytes.len()).is_multiple_of(2) {
                    bytes.next();
                }
            }
            (count, value) => {
                let count = usize::from(count).min(width.saturating_sub(x));
                indices.extend((0..count).map(|place| value_at(place, value)));
                x += count;
            }
        }
    }
    if indices.len() < most {
        return Err(format!(
            "its image data ends after {} of {most} pixels",
            indices.len()
        ));
    }
    indices.truncate(most);
    Ok(indices)
}

enum Lines<'a> {
    InFile(&'a [u8]),
    Made(Vec<u8>),
}

struct Picture<'a> {
    lines: Lines<'a>,
    line_bytes: usize,
    /// From one line to the next.
    stride: usize,
    height: usize,
    layout: Layout,
    num_read: usize,
}

impl Rows for Picture<'_> {
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let stored = if self.layout.top_down {
            self.num_read
        } else {
            self.height - 1 - self.num_read
        };
        self.num_read += 1;
        let lines = match &self.lines {
            Lines::InFile(bytes) => bytes,
            Lines::Made(bytes) => bytes.as_slice(),
        };
        let line = &lines[stored * self.stride..][..self.line_bytes];
        self.layout.pixels.to_rgb(line, rgb);
        Ok(())
    }
}
