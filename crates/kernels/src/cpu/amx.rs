//! Intel's tile unit: AMX-INT8, beside the lanes of AVX-512.
//!
//! The instructions are inline assembly (their intrinsics are unstable). Each block of it loads, multiplies and stores,
//! so that no tile lives from one block to the next; only the unit's configuration does, as long as an [`AmxReady`]
//! lives, and nothing but this file knows it. The system must be asked before the first use, which on Linux is one call;
//! elsewhere the unit counts as absent.

use super::avx512::Avx512;
use super::operand::QuantizedBlock;
use super::tile_unit::{
    Dots, Exact, GROUPS, PANEL_ROWS, Planes, Quants, ReadyUnit, STEP_WORDS, TileUnit,
};
use crate::simd::Kernel;
use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max, _xgetbv};
use std::marker::PhantomData;

/// Proof that this machine has the unit, that the system lets this process use it and that it computed right: only
/// `detect` makes one.
#[derive(Clone, Copy)]
pub(crate) struct Amx {
    lanes: Avx512<false>,
    bf16: Option<Avx512<true>>,
}

impl Amx {
    /// The unit and the lanes beside it, if they can be used here.
    pub fn detect() -> Option<Amx> {
        let lanes = Avx512::<false>::detect()?;
        if !(has_instructions() && system_saves_tiles() && may_use_tiles()) {
            return None;
        }
        let bf16 = Avx512::<true>::detect();
        let amx = Amx { lanes, bf16 };
        agrees_with_definition(amx).then_some(amx)
    }

    /// Runs `kernel` on the lanes.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        self.lanes.run(kernel)
    }

    /// Runs a kernel that multiplies pairs of bf16.
    pub fn run_bf16<K: Kernel>(self, kernel: K) -> K::Output {
        match self.bf16 {
            Some(lanes) => lanes.run(kernel),
            None => self.run(kernel),
        }
    }
}

/// CPUID: AMX-TILE and AMX-INT8 (leaf 7, EDX 24 and 25), and a palette 1 of eight registers of 16 rows of 64 bytes.
fn has_instructions() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    if __get_cpuid_max(0).0 < 0x1d {
        return false;
    }
    let (features, tiles, palette) = (
        __cpuid_count(7, 0),
        __cpuid_count(0x1d, 0),
        __cpuid_count(0x1d, 1),
    );
    features.edx & TILE_AND_INT8 == TILE_AND_INT8
        && tiles.eax >= 1
        && palette.ebx & 0xffff >= 64
        && palette.ebx >> 16 >= 8
        && palette.ecx & 0xffff >= PANEL_ROWS as u32
}

/// XCR0: the system saves the configuration and the tiles (bits 17 and 18).
fn system_saves_tiles() -> bool {
    // SAFETY: the lanes of AVX-512 were detected (`detect`), which takes a system that has turned on XSAVE.
    let saved = unsafe { _xgetbv(0) };
    saved >> 17 & 3 == 3
}

/// Asks Linux to let this process use tiles (`arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`); asking again does no harm.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XTILEDATA: u64 = 18;
    let answer: i64;
    // SAFETY: a system call with two plain numbers: it reads and writes no memory of ours. The kernel overwrites rcx and
    // r11, which are given up.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Registers 0 to 3 hold dots, 4 and 6 activations, 5 and 7 weights.
impl Config {
    fn new(rows: usize, words: usize) -> Config {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        for register in 0..8 {
            let (num_rows, row_bytes) = match register {
                4 | 6 => (rows, 4 * words),
                5 | 7 => (words, 64),
                _ => (rows, 64),
            };
            config.rows[register] = num_rows as u8;
            config.row_bytes[register] = row_bytes as u16;
        }
        config
    }
}

/// This thread's unit, configured. Dropped, it holds nothing: a thread that sleeps has no tiles to be saved.
pub(crate) struct AmxReady {
    rows: usize,
    words: usize,
    /// The configuration is the thread's.
    in_one_thread: PhantomData<*const ()>,
}

/// A block of assembly that may use every tile register.
macro_rules! tile_asm {
    ($($part:tt)*) => {
        asm!(
            $($part)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

impl TileUnit for Amx {
    type Ready = AmxReady;

    unsafe fn ready(self, rows: usize, words: usize) -> AmxReady {
        assert!((1..=PANEL_ROWS).contains(&rows) && (1..=STEP_WORDS).contains(&words));
        let config = Config::new(rows, words);
        // SAFETY: `self` exists, so `detect` found the unit usable. Reads the 64 bytes of `config`, which describe palette
        // 1: at most 16 rows and 64 bytes a row (the assertion), nothing in reserved places.
        unsafe { tile_asm!("ldtilecfg [{config}]", config = in(reg) &raw const config,) };
        AmxReady {
            rows,
            words,
            in_one_thread: PhantomData,
        }
    }
}

impl Drop for AmxReady {
    fn drop(&mut self) {
        // SAFETY: `self` exists, so the unit is there; what it forgets is this thread's own and used through `self` only.
        unsafe { tile_asm!("tilerelease",) };
    }
}

/// Bytes from one row of activations to the next.
const A_STRIDE: usize = size_of::<QuantizedBlock>();

impl ReadyUnit for AmxReady {
    #[inline(always)]
    fn groups(&self, a: &[QuantizedBlock], quants: &Quants, first: usize, dots: &mut [Dots]) {
        let word = first * self.words;
        assert!(word + GROUPS * self.words <= quants.len() && GROUPS <= dots.len());
        assert_eq!(a.len(), self.rows, "rows of a panel");
        // SAFETY: the configuration is `ready`'s. Of each of the `rows` blocks of `a` (`quants` is their first field)
        // bytes `4 word..4 (word + 4 words)` are read, of `quants` rows `word..word + 4 words`; both end within 256 and
        // 64 (the first assertion). Of each of four `dots`, `rows` <= 16 rows of 64 bytes are written.
        unsafe {
            tile_asm!(
                "tilezero tmm0",
                "tileloadd tmm4, [{a} + {a_stride}]",
                "tileloadd tmm5, [{b} + {line}]",
                "tdpbsud tmm0, tmm4, tmm5",
                "add {a}, {a_step}",
                "add {b}, {b_step}",
                "tilezero tmm1",
                "tileloadd tmm6, [{a} + {a_stride}]",
                "tileloadd tmm7, [{b} + {line}]",
                "tdpbsud tmm1, tmm6, tmm7",
                "add {a}, {a_step}",
                "add {b}, {b_step}",
                "tilezero tmm2",
                "tileloadd tmm4, [{a} + {a_stride}]",
                "tileloadd tmm5, [{b} + {line}]",
                "tdpbsud tmm2, tmm4, tmm5",
                "add {a}, {a_step}",
                "add {b}, {b_step}",
                "tilezero tmm3",
                "tileloadd tmm6, [{a} + {a_stride}]",
                "tileloadd tmm7, [{b} + {line}]",
                "tdpbsud tmm3, tmm6, tmm7",
                "tilestored [{c} + {line}], tmm0",
                "tilestored [{c} + {line} + 1024], tmm1",
                "tilestored [{c} + {line} + 2048], tmm2",
                "tilestored [{c} + {line} + 3072], tmm3",
                a = inout(reg) a.as_ptr().cast::<u8>().add(4 * word) => _,
                b = inout(reg) quants.as_ptr().add(word) => _,
                c = in(reg) dots.as_mut_ptr(),
                a_stride = in(reg) A_STRIDE,
                line = in(reg) 64usize,
                a_step = in(reg) 4 * self.words,
                b_step = in(reg) 64 * self.words,
            );
        }
    }

    #[inline(always)]
    fn planes(&self, a: &[QuantizedBlock], planes: &Planes, dots: &mut [Dots]) {
        assert!(self.words == STEP_WORDS && 2 <= dots.len());
        assert_eq!(a.len(), self.rows, "rows of a panel");
        // SAFETY: as in `groups`. Four steps of 64 bytes are all 256 of a block of `a`; four steps of 16 rows of 64 bytes
        // are a plane, and the second lies 4096 bytes after the first.
        unsafe {
            tile_asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tileloadd tmm4, [{a} + {a_stride}]",
                "tileloadd tmm5, [{b} + {line}]",
                "tdpbsud tmm0, tmm4, tmm5",
                "tileloadd tmm7, [{b} + {line} + 4096]",
                "tdpbsud tmm1, tmm4, tmm7",
                "tileloadd tmm6, [{a} + {a_stride} + 64]",
                "tileloadd tmm5, [{b} + {line} + 1024]",
                "tdpbsud tmm0, tmm6, tmm5",
                "tileloadd tmm7, [{b} + {line} + 5120]",
                "tdpbsud tmm1, tmm6, tmm7",
                "tileloadd tmm4, [{a} + {a_stride} + 128]",
                "tileloadd tmm5, [{b} + {line} + 2048]",
                "tdpbsud tmm0, tmm4, tmm5",
                "tileloadd tmm7, [{b} + {line} + 6144]",
                "tdpbsud tmm1, tmm4, tmm7",
                "tileloadd tmm6, [{a} + {a_stride} + 192]",
                "tileloadd tmm5, [{b} + {line} + 3072]",
                "tdpbsud tmm0, tmm6, tmm5",
                "tileloadd tmm7, [{b} + {line} + 7168]",
                "tdpbsud tmm1, tmm6, tmm7",
                "tilestored [{c} + {line}], tmm0",
                "tilestored [{c} + {line} + 1024], tmm1",
                a = in(reg) a.as_ptr(),
                b = in(reg) planes.0.as_ptr(),
                c = in(reg) dots.as_mut_ptr(),
                a_stride = in(reg) A_STRIDE,
                line = in(reg) 64usize,
            );
        }
    }
}

/// Whether the unit gives what its definition gives, on bytes of every size: a processor or a hypervisor that only says
/// it has one is worth nothing.
fn agrees_with_definition(amx: Amx) -> bool {
    let mut state = 1u32;
    let mut byte = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut a = [QuantizedBlock::ZERO; PANEL_ROWS];
    a.iter_mut()
        .flat_map(|a| &mut a.quants)
        .for_each(|quant| *quant = byte());
    let mut planes = Planes([[[0; 16]; 64]; 2]);
    for word in planes.0.as_flattened_mut().as_flattened_mut() {
        *word = i32::from_le_bytes([byte(), byte(), byte(), byte()]);
    }
    let runs = [(16, 8), (16, 4), (9, 8), (16, STEP_WORDS), (5, STEP_WORDS)];
    runs.into_iter().all(|(rows, words)| {
        let a = &a[..rows];
        // SAFETY: no other ready unit of this thread: `detect` is called by no kernel.
        let (ready, exact) = unsafe { (amx.ready(rows, words), Exact.ready(rows, words)) };
        let (mut found, mut expected) = ([Dots::ZERO; GROUPS], [Dots::ZERO; GROUPS]);
        if words == STEP_WORDS {
            ready.planes(a, &planes, &mut found);
            exact.planes(a, &planes, &mut expected);
        } else {
            ready.groups(a, &planes.0[0], GROUPS, &mut found);
            exact.groups(a, &planes.0[0], GROUPS, &mut expected);
        }
        found.iter().zip(&expected).all(|(f, e)| f.0 == e.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intel's manual, LDTILECFG: palette at 0, bytes a row from 16 on, rows from 48 on.
    #[test]
    fn the_configuration_lies_as_described() {
        let config = Config::new(9, 8);
        let Config {
            row_bytes, rows, ..
        } = &config;
        let base = (&raw const config).addr();
        assert_eq!(size_of_val(&config), 64);
        assert_eq!((&raw const *row_bytes).addr() - base, 16);
        assert_eq!((&raw const *rows).addr() - base, 48);
        assert_eq!((config.palette, config.start_row), (1, 0));
        assert_eq!(row_bytes[..8], [64, 64, 64, 64, 32, 64, 32, 64]);
        assert_eq!(rows[..9], [9, 9, 9, 9, 9, 8, 9, 8, 0]);
    }

    #[test]
    fn what_was_detected_is_detected_again_while_it_is_in_use() {
        let Some(amx) = Amx::detect() else {
            return println!("skipped: amx (this machine does not have it)");
        };
        // SAFETY: the only ready unit of this thread; the other threads have their own.
        let ready = unsafe { amx.ready(16, 8) };
        let found = std::thread::scope(|scope| {
            let threads = [0, 1].map(|_| scope.spawn(|| Amx::detect().is_some()));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(found, [true, true]);
        let mut dots = [Dots::ZERO; GROUPS];
        let a = [QuantizedBlock::ZERO; PANEL_ROWS];
        ready.groups(&a, &[[-1; 16]; 64], 0, &mut dots);
        assert!(dots.iter().all(|dots| dots.0 == [[0; 16]; PANEL_ROWS]));
    }
}
