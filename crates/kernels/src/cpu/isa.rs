//! Which instruction set runs the kernels: detected once, chosen once, passed along.

#[cfg(target_arch = "aarch64")]
use super::neon::{Dotprod, I8mm, Neon, Widening};
use super::scalar::Scalar;
#[cfg(target_arch = "x86_64")]
use super::{amx::Amx, avx2::Avx2, avx512::Avx512, flush::FlushSubnormals};
use crate::KernelError;
use crate::simd::Kernel;

/// An instruction set a user can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No vector instructions; runs anywhere.
    Scalar,
    /// 64-bit Arm: NEON, which all have.
    Neon,
    /// The same and DOTPROD: SDOT.
    NeonDotprod,
    /// The same and I8MM: USDOT.
    NeonI8mm,
    /// x86: AVX2, FMA, F16C.
    Avx2,
    /// x86: AVX-512 F, BW, DQ, VL, VNNI.
    Avx512,
    /// The same and BF16, which serves images.
    Avx512Bf16,
    /// x86: AVX-512 and the tile unit AMX-INT8, which serves quantised weights from 8 or 16 rows on. Linux only.
    Amx,
}

/// Names a user may give.
const NAMES: [(&str, Isa); Isa::ALL.len()] = [
    ("scalar", Isa::Scalar),
    ("neon", Isa::Neon),
    ("neon-dotprod", Isa::NeonDotprod),
    ("neon-i8mm", Isa::NeonI8mm),
    ("avx2", Isa::Avx2),
    ("avx512", Isa::Avx512),
    ("avx512-bf16", Isa::Avx512Bf16),
    ("amx", Isa::Amx),
];

impl Isa {
    /// Every set that this program has kernels for, slowest first.
    pub const ALL: [Isa; 8] = [
        Isa::Scalar,
        Isa::Neon,
        Isa::NeonDotprod,
        Isa::NeonI8mm,
        Isa::Avx2,
        Isa::Avx512,
        Isa::Avx512Bf16,
        Isa::Amx,
    ];

    /// The set of that name.
    ///
    /// Errors: no such set.
    pub fn from_name(name: &str) -> Result<Isa, KernelError> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, isa)| *isa).ok_or_else(|| unavailable(name))
    }

    /// As `--isa` spells it.
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(_, isa)| *isa == self);
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
    #[cfg(target_arch = "aarch64")]
    Neon(Neon<Widening>),
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(Neon<Dotprod>),
    #[cfg(target_arch = "aarch64")]
    NeonI8mm(Neon<I8mm>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512<true>),
    #[cfg(target_arch = "x86_64")]
    Amx(Amx),
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
            Isa::Amx => Amx::detect().map(Unit::Amx),
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => None,
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn of(isa: Isa) -> Option<Unit> {
        match isa {
            Isa::Scalar => Some(Unit::Scalar(Scalar)),
            Isa::Neon => Neon::detect().map(Unit::Neon),
            Isa::NeonDotprod => Neon::detect().map(Unit::NeonDotprod),
            Isa::NeonI8mm => Neon::detect().map(Unit::NeonI8mm),
            _ => None,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn of(isa: Isa) -> Option<Unit> {
        (isa == Isa::Scalar).then_some(Unit::Scalar(Scalar))
    }

    /// Runs `kernel` on these lanes.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Unit::Scalar(simd) => kernel.run(simd),
            #[cfg(target_arch = "aarch64")]
            Unit::Neon(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Unit::NeonDotprod(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Unit::NeonI8mm(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16(simd) => simd.without_bf16().run(kernel),
            #[cfg(target_arch = "x86_64")]
            Unit::Amx(amx) => amx.run(kernel),
        }
    }

    /// Runs `kernel` with subnormals as zeros, perhaps twice: it must begin anew each time. (The scalar lanes flush by
    /// themselves, where a kernel asks for it.)
    pub fn run_flushed<K, T>(self, kernel: &mut K) -> T
    where
        for<'a> &'a mut K: Kernel<Output = T>,
    {
        match self {
            Unit::Scalar(simd) => kernel.run(simd),
            #[cfg(target_arch = "aarch64")]
            Unit::Neon(simd) => simd.run_flushed(kernel),
            #[cfg(target_arch = "aarch64")]
            Unit::NeonDotprod(simd) => simd.run_flushed(kernel),
            #[cfg(target_arch = "aarch64")]
            Unit::NeonI8mm(simd) => simd.run_flushed(kernel),
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
            #[cfg(target_arch = "x86_64")]
            Unit::Amx(amx) => {
                let _guard = FlushSubnormals::new();
                amx.run(kernel)
            }
        }
    }

    /// [`Unit::run_flushed`] for kernels that multiply pairs of bf16.
    pub fn run_bf16<K, T>(self, kernel: &mut K) -> T
    where
        for<'a> &'a mut K: Kernel<Output = T>,
    {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16(simd) => {
                let _guard = FlushSubnormals::new();
                simd.run(kernel)
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Amx(amx) => {
                let _guard = FlushSubnormals::new();
                amx.run_bf16(kernel)
            }
            other => other.run_flushed(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_what_is_not_there_says_what_is() {
        for isa in Isa::ALL {
            assert_eq!(Isa::from_name(isa.name()).unwrap(), isa);
            if let Err(error) = Unit::new(isa) {
                let message = error.to_string();
                assert!(
                    message.contains(isa.name()) && message.contains("scalar"),
                    "{message}"
                );
            }
        }
        assert!(Isa::from_name("mmx").is_err());
        assert!(Isa::detect().is_available());
    }
}
