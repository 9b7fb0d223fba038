//! Which tensor is stored in which format: one row for each name a user can ask for.
//!
//! Source: llama.cpp's `src/llama-quant.cpp` (rules for more bits and for rows that do not fit) and `include/llama.h`
//! (numbers of file types).

use crate::checkpoint::names::Part;
use kernels::Format;

/// The formats of a file's tensors, by a name that users know. Vectors and routers are F32 in all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Mix {
    /// The name.
    pub name: &'static str,
    /// `general.file_type`.
    pub(super) file_type: u32,
    /// Most matrices.
    pub(super) main: Format,
    /// The embedding table.
    pub(super) embedding: Format,
    /// The head, and an embedding table that is also the head.
    pub(super) head: Format,
    /// Down-projections and attention's values, in some layers.
    pub(super) sensitive: Format,
}

const fn plain(name: &'static str, file_type: u32, format: Format) -> Mix {
    Mix {
        name,
        file_type,
        main: format,
        embedding: format,
        head: format,
        sensitive: format,
    }
}

/// One format throughout, but for a better head.
const fn with_head(name: &'static str, file_type: u32, format: Format) -> Mix {
    Mix {
        head: Format::Q6K,
        ..plain(name, file_type, format)
    }
}

/// More bits wherever they help most.
const fn medium(name: &'static str, file_type: u32, format: Format) -> Mix {
    Mix {
        embedding: Format::Q6K,
        head: Format::Q6K,
        sensitive: Format::Q6K,
        ..plain(name, file_type, format)
    }
}

const MIXES: [Mix; 13] = [
    plain("f32", 0, Format::F32),
    plain("f16", 1, Format::F16),
    plain("bf16", 32, Format::Bf16),
    plain("q8_0", 7, Format::Q8_0),
    with_head("q4_0", 2, Format::Q4_0),
    with_head("q4_1", 3, Format::Q4_1),
    with_head("q5_0", 8, Format::Q5_0),
    with_head("q5_1", 9, Format::Q5_1),
    with_head("q4_k", 14, Format::Q4K),
    with_head("q5_k", 16, Format::Q5K),
    plain("q6_k", 18, Format::Q6K),
    medium("q4_k_m", 15, Format::Q4K),
    medium("q5_k_m", 17, Format::Q5K),
];

/// What takes the place of a format whose blocks of 256 do not fit a row.
const SMALLER: [(Format, Format); 3] = [
    (Format::Q4K, Format::Q5_0),
    (Format::Q5K, Format::Q5_1),
    (Format::Q6K, Format::Q8_0),
];

impl Mix {
    /// Every mix.
    pub const ALL: &'static [Mix] = &MIXES;

    /// The mix of that name, in either case.
    pub fn find(name: &str) -> Option<&'static Mix> {
        MIXES.iter().find(|mix| mix.name.eq_ignore_ascii_case(name))
    }

    /// The format of a matrix, before its rows are looked at.
    pub(super) fn wanted(&self, part: Part, tied: bool, layer: usize, num_layers: usize) -> Format {
        match part {
            Part::Head => self.head,
            Part::Embedding if tied => self.head,
            Part::Embedding => self.embedding,
            Part::Value | Part::Down | Part::SharedDown | Part::ExpertsDown
                if gets_more_bits(layer, num_layers) =>
            {
                self.sensitive
            }
            _ => self.main,
        }
    }
}

/// The first and last eighth of the layers, and every third between.
fn gets_more_bits(layer: usize, num_layers: usize) -> bool {
    let eighth = num_layers / 8;
    layer < eighth || layer >= 7 * num_layers / 8 || (layer - eighth) % 3 == 2
}

/// `wanted`, or what takes its place where a row of `cols` values is not a whole number of its blocks.
pub(super) fn fitting(wanted: Format, cols: usize) -> Format {
    let fits = |format: Format| cols.is_multiple_of(format.block_values());
    let smaller = SMALLER.iter().find(|(format, _)| *format == wanted);
    match smaller {
        _ if fits(wanted) => wanted,
        Some((_, smaller)) if fits(*smaller) => *smaller,
        _ => Format::F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_with_more_bits_are_llama_cpps() {
        let layers: Vec<usize> = (0..36).filter(|l| gets_more_bits(*l, 36)).collect();
        let expected = [
            0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35,
        ];
        assert_eq!(layers, expected);
        let mix = Mix::find("Q4_K_M").unwrap();
        assert_eq!(mix.wanted(Part::ExpertsDown, false, 3, 36), Format::Q6K);
        assert_eq!(mix.wanted(Part::ExpertsDown, false, 4, 36), Format::Q4K);
        assert_eq!(mix.wanted(Part::ExpertsUp, false, 3, 36), Format::Q4K);
    }

    #[test]
    fn rows_that_do_not_fit_get_smaller_blocks_or_none() {
        assert_eq!(fitting(Format::Q4K, 512), Format::Q4K);
        assert_eq!(fitting(Format::Q4K, 192), Format::Q5_0);
        assert_eq!(fitting(Format::Q5K, 32), Format::Q5_1);
        assert_eq!(fitting(Format::Q6K, 32), Format::Q8_0);
        assert_eq!(fitting(Format::Q6K, 16), Format::F16);
        assert_eq!(fitting(Format::Q4_0, 48), Format::F16);
        assert_eq!(fitting(Format::F32, 1), Format::F32);
    }

    #[test]
    fn names_are_found_and_none_is_there_twice() {
        for (index, mix) in MIXES.iter().enumerate() {
            assert_eq!(Mix::find(mix.name), Some(mix));
            let later = &MIXES[index + 1..];
            assert!(later.iter().all(|m| m.file_type != mix.file_type));
        }
        assert_eq!(Mix::find("q3_k"), None);
    }
}
