//! Which instruction set runs the kernels: detected once, chosen once, passed along.

use super::scalar::Scalar;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512, flush::FlushSubnormals};
use crate::KernelError;
use crate::simd::Kernel;

/// An instruction set a user can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No vector instructions; runs anywhere.
    Scalar,
    /// x86: AVX2, FMA, F16C.
    Avx2,
    /// x86: AVX-512 F, BW, DQ, VL, VNNI.
    Avx512,
    /// The same and BF16, which serves images.
    Avx512Bf16,
}

/// Names a user may give, and what each means here. Sets that are known but not built yet have no `Isa`.
const NAMES: [(&str, Option<Isa>); 5] = [
    ("scalar", Some(Isa::Scalar)),
    ("avx2", Some(Isa::Avx2)),
    ("avx512", Some(Isa::Avx512)),
    ("avx512-bf16", Some(Isa::Avx512Bf16)),
    ("amx", None),
];

impl Isa {
    /// Every set that this program has kernels for, slowest first.
    pub const ALL: [Isa; 4] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16];

    /// The set of that name.
    ///
    /// Errors: no such set, or none that this build has kernels for.
    pub fn from_name(name: &str) -> Result<Isa, KernelError> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known
            .and_then(|(_, isa)| *isa)
            .ok_or_else(|| unavailable(name))
    }

    /// As `--isa` spells it.
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(_, isa)| *isa == Some(self));
        named.map_or("", |(name, _)| name)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        Unit::of(self).is_some()
    }

    /// The fastest set this machine has.
    pub fn detect() -> Isa {
        let mut fastest_first = Isa::ALL.into_iter().rev();
        fastest_first
            .find(|isa| isa.is_available())
            .unwrap_or(Isa::Scalar)
    }
}

fn unavailable(asked: &str) -> KernelError {
    let available = Isa::ALL.into_iter().filter(|isa| isa.is_available());
    KernelError::Isa {
        asked: asked.to_owned(),
        available: available.map(Isa::name).collect::<Vec<_>>().join(", "),
    }
}

/// The lanes of an instruction set that this machine is known to have.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512<true>),
}

impl Unit {
    /// Errors: this machine does not have it.
    pub fn new(isa: Isa) -> Result<Unit, KernelError> {
        Unit::of(isa).ok_or_else(|| unavailable(isa.name()))
    }

    #[cfg(target_arch = "x86_64")]
    fn of(isa: Isa) -> Option<Unit> {
        match isa {
            Isa::Scalar => Some(Unit::Scalar(Scalar)),
            Isa::Avx2 => Avx2::detect().map(Unit::Avx2),
            Isa::Avx512 => Avx512::<false>::detect().map(Unit::Avx512),
            Isa::Avx512Bf16 => Avx512::<true>::detect().map(Unit::Avx512Bf16),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of(isa: Isa) -> Option<Unit> {
        (isa == Isa::Scalar).then_some(Unit::Scalar(Scalar))
    }

    /// Runs `kernel` on these lanes.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Unit::Scalar(simd) => kernel.run(simd),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16(simd) => simd.without_bf16().run(kernel),
        }
    }

    /// Runs `kernel` with subnormals as zeros. (The scalar lanes flush by themselves, where a kernel asks for it.)
    pub fn run_flushed<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Unit::Scalar(simd) => kernel.run(simd),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2(simd) => {
                let _guard = FlushSubnormals::new();
                simd.run(kernel)
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512(simd) => {
                let _guard = FlushSubnormals::new();
                simd.run(kernel)
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16(simd) => {
                let _guard = FlushSubnormals::new();
                simd.without_bf16().run(kernel)
            }
        }
    }

    /// [`Unit::run_flushed`] for kernels that multiply pairs of bf16.
    pub fn run_bf16<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16(simd) => {
                let _guard = FlushSubnormals::new();
                simd.run(kernel)
            }
            other => other.run_flushed(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_amx_says_what_there_is() {
        for isa in Isa::ALL {
            assert_eq!(Isa::from_name(isa.name()).unwrap(), isa);
        }
        let message = Isa::from_name("amx").unwrap_err().to_string();
        assert!(
            message.contains("amx") && message.contains("scalar"),
            "{message}"
        );
        assert!(Isa::from_name("mmx").is_err());
        assert!(Isa::detect().is_available());
    }
}
