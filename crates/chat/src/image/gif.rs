//! GIF files: the first frame.
//!
//! Must not know: other formats, sizes of prompts.

use super::colour::{Palette, Rgb, WHITE, greys, palette_of};
use super::{MAX_DECODE_BYTES, Rows, decode_memory, little};
use weezl::{BitOrder, LzwStatus};

pub(super) fn is(file: &[u8]) -> bool {
    file.starts_with(b"GIF87a") || file.starts_with(b"GIF89a")
}

/// The screen's size, enlarged to hold the first frame.
pub(super) fn size(file: &[u8]) -> Option<(u32, u32)> {
    let screen = (little(file, 6, 2)?, little(file, 8, 2)?);
    Some(match first_frame(file) {
        Some(frame) => (
            screen.0.max(frame.left + frame.width),
            screen.1.max(frame.top + frame.height),
        ),
        None => screen,
    })
}

/// What stands before a frame's pixels.
struct Frame<'a> {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    interlaced: bool,
    /// Its own colours, or else those of the file; greys if there are none.
    colours: Option<&'a [u8]>,
    transparent: Option<u8>,
    /// The file from the frame's compressed data on.
    data: &'a [u8],
}

/// The colours that a flag byte announces, of which `at` is the place, and how many bytes they take.
fn colours(file: &[u8], flags: u32, at: usize) -> (Option<&[u8]>, usize) {
    if flags & 0x80 == 0 {
        return (None, 0);
    }
    let bytes = 6 << (flags & 7);
    let until = (at + bytes).min(file.len());
    (file.get(at..until), bytes)
}

fn first_frame(file: &[u8]) -> Option<Frame<'_>> {
    let (of_file, bytes) = colours(file, little(file, 10, 1)?, 13);
    let mut at = 13 + bytes;
    let mut transparent = None;
    loop {
        match file.get(at)? {
            b',' => break,
            b';' => return None,
            b'!' => {
                let is_control = *file.get(at + 1)? == 0xf9;
                if is_control && *file.get(at + 2)? > 3 && little(file, at + 3, 1)? & 1 != 0 {
                    transparent = Some(*file.get(at + 6)?);
                }
                at += 2;
                while *file.get(at)? > 0 {
                    at += usize::from(file[at]) + 1;
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    let number = |offset| little(file, at + offset, 2);
    let flags = little(file, at + 9, 1)?;
    let (own, bytes) = colours(file, flags, at + 10);
    Some(Frame {
        left: number(1)?,
        top: number(3)?,
        width: number(5)?,
        height: number(7)?,
        interlaced: flags & 0x40 != 0,
        colours: own.or(of_file),
        transparent,
        data: file.get(at + 10 + bytes..).unwrap_or_default(),
    })
}

impl Frame<'_> {
    /// The frame's indices, in the order in which they are stored.
    fn decompress(&self) -> Result<Vec<u8>, String> {
        let code_size = *self.data.first().unwrap_or(&0);
        if !(1..=11).contains(&code_size) {
            return Err(format!(
                "its compression starts with codes of {code_size} bits; expected 1 to 11"
            ));
        }
        let mut decoder = weezl::decode::Decoder::new(BitOrder::Lsb, code_size);
        let mut indices = vec![0; self.width as usize * self.height as usize];
        let (mut at, mut written) = (1, 0);
        let mut block: &[u8] = &[];
        while written < indices.len() {
            let step = decoder.decode_bytes(block, &mut indices[written..]);
            written += step.consumed_out;
            block = &block[step.consumed_in..];
            match step.status {
                Ok(LzwStatus::Ok) => {}
                Ok(LzwStatus::NoProgress) => {
                    let length = usize::from(*self.data.get(at).unwrap_or(&0));
                    block = self
                        .data
                        .get(at + 1..at + 1 + length)
                        .filter(|block| !block.is_empty())
                        .ok_or("the file ends within its image data")?;
                    at += 1 + length;
                }
                Ok(LzwStatus::Done) if written == indices.len() => {}
                Ok(LzwStatus::Done) => return Err("its image data ends early".to_owned()),
                Err(_) => return Err("its compressed data is damaged".to_owned()),
            }
        }
        Ok(indices)
    }

    /// Which stored row is row `y`: interlaced files store every eighth row, then those between.
    fn stored_row(&self, y: u32) -> u32 {
        if !self.interlaced {
            return y;
        }
        let eighths = self.height.div_ceil(8);
        let fourths = (self.height + 3) / 8;
        let halves = (self.height + 1) / 4;
        match y % 8 {
            0 => y / 8,
            4 => eighths + y / 8,
            2 | 6 => eighths + fourths + y / 4,
            _ => eighths + fourths + halves + y / 2,
        }
    }

    fn palette(&self) -> Palette {
        let mut palette = match self.colours {
            Some(bytes) => palette_of(bytes, 3, |rgb| [rgb[0], rgb[1], rgb[2]]),
            None => greys(8),
        };
        if let Some(index) = self.transparent {
            palette[usize::from(index)] = WHITE;
        }
        palette
    }
}

pub(super) fn rows(file: &[u8], size: (u32, u32)) -> Result<Box<dyn Rows + '_>, String> {
    let frame = first_frame(file).ok_or("it holds no frame")?;
    decode_memory(
        u64::from(frame.width) * u64::from(frame.height),
        MAX_DECODE_BYTES,
    )?;
    debug_assert!(frame.left + frame.width <= size.0);
    let indices = frame.decompress()?;
    let palette = frame.palette();
    // Around the frame is the transparent colour, or the first.
    let around = palette[usize::from(frame.transparent.unwrap_or(0))];
    Ok(Box::new(Canvas {
        palette,
        around,
        indices,
        frame,
        y: 0,
    }))
}

/// The screen with the frame on it.
struct Canvas<'a> {
    frame: Frame<'a>,
    indices: Vec<u8>,
    palette: Palette,
    around: Rgb,
    y: u32,
}

impl Rows for Canvas<'_> {
    fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let row = rgb.as_chunks_mut::<3>().0;
        row.fill(self.around);
        let y = self.y.checked_sub(self.frame.top);
        self.y += 1;
        if let Some(y) = y.filter(|y| *y < self.frame.height) {
            let width = self.frame.width as usize;
            let first = self.frame.stored_row(y) as usize * width;
            let indices = &self.indices[first..first + width];
            for (pixel, index) in row[self.frame.left as usize..].iter_mut().zip(indices) {
                *pixel = self.palette[usize::from(*index)];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interlaced_rows_are_stored_in_four_passes() {
        for height in 1..40 {
            let frame = Frame {
                left: 0,
                top: 0,
                width: 1,
                height,
                interlaced: true,
                colours: None,
                transparent: None,
                data: &[],
            };
            let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
            let stored = passes
                .into_iter()
                .flat_map(|(first, step)| (first..height).step_by(step));
            for (place, y) in stored.enumerate() {
                assert_eq!(frame.stored_row(y), place as u32, "row {y} of {height}");
            }
        }
    }
}
