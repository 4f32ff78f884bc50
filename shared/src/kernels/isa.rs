//! The instruction set that kernels run in: the machine's best, or a lesser one where [`VARIABLE`] names it.
//!
//! It is chosen once, when the first kernel runs. Every kernel that has code for several sets asks here: the tiles of
//! `packed`, the products of `matmul`, and all loops in a block of `tasks::simd!`, which is compiled several times.

use std::env;
use std::fmt;
use std::sync::OnceLock;

/// The environment variable that names the most that may be used. A machine that lacks it uses its own best.
pub const VARIABLE: &str = "QUINTET_INSTRUCTIONS";

/// An instruction set, each with all that the ones before it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// The architecture's own.
    Portable,
    /// WebAssembly's vectors of 128 bits.
    #[cfg(target_arch = "wasm32")]
    Simd128,
    /// Vectors of 256 bits, with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Vectors of 512 bits, with AVX-512 F, BW, CD, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same with VNNI, the product of integers that adds to i32.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Isa {
    /// All sets of this architecture by their names, the fastest last.
    const NAMED: &[(&str, Self)] = &[
        ("portable", Self::Portable),
        #[cfg(target_arch = "wasm32")]
        ("simd128", Self::Simd128),
        #[cfg(target_arch = "x86_64")]
        ("avx2", Self::Avx2),
        #[cfg(target_arch = "x86_64")]
        ("avx512", Self::Avx512),
        #[cfg(target_arch = "x86_64")]
        ("avx512vnni", Self::Avx512Vnni),
    ];

    /// The sets that this machine has, up to the one that [`VARIABLE`] names, the fastest last.
    ///
    /// # Panics
    /// If the variable names none: see [`check_variable`].
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        let most = Self::best();
        Self::of_machine().filter(move |isa| *isa <= most)
    }

    /// The set that kernels run in.
    ///
    /// # Panics
    /// If [`VARIABLE`] names none: see [`check_variable`].
    #[inline]
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let cap = cap().unwrap_or_else(|reason| panic!("{reason}"));
            let allowed = |isa: &Self| cap.is_none_or(|cap| *isa <= cap);
            Self::of_machine().rfind(allowed).expect("one is portable")
        })
    }

    fn of_machine() -> impl DoubleEndedIterator<Item = Self> {
        Self::NAMED.iter().map(|(_, isa)| *isa).filter(|isa| isa.is_there())
    }

    fn is_there(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "wasm32")]
            Self::Simd128 => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Self::Avx2.is_there() && pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Self::Avx512.is_there() && is_x86_feature_detected!("avx512vnni"),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMED.iter().find(|(_, isa)| isa == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

/// Says what is wrong with the value of [`VARIABLE`], before a kernel runs.
///
/// # Errors
/// A sentence that names the variable, its value and those that it may have.
pub fn check_variable() -> Result<(), String> {
    cap().map(drop)
}

/// The set that [`VARIABLE`] names, if it is set.
fn cap() -> Result<Option<Isa>, String> {
    match env::var(VARIABLE) {
        Err(env::VarError::NotPresent) => Ok(None),
        Ok(name) if name.is_empty() => Ok(None),
        Ok(name) => named(&name).map(Some),
        Err(env::VarError::NotUnicode(name)) => named(&name.to_string_lossy()).map(Some),
    }
}

fn named(name: &str) -> Result<Isa, String> {
    let known = Isa::NAMED.iter().find(|(known, _)| *known == name);
    known.map(|(_, isa)| *isa).ok_or_else(|| {
        let names: Vec<&str> = Isa::NAMED.iter().map(|(name, _)| *name).collect();
        format!("{VARIABLE} is `{}`; it may be {}", name.escape_debug(), names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_one_name_and_the_portable_one_is_always_there() {
        for (name, isa) in Isa::NAMED {
            assert_eq!((named(name), isa.to_string()), (Ok(*isa), (*name).to_owned()));
        }
        assert!(Isa::NAMED.is_sorted_by_key(|(_, isa)| isa));
        let reason = named("sse9").unwrap_err();
        assert!(reason.starts_with("QUINTET_INSTRUCTIONS is `sse9`; it may be portable, "));
        let available: Vec<Isa> = Isa::available().collect();
        assert_eq!(
            (available.first(), available.last()),
            (Some(&Isa::Portable), Some(&Isa::best()))
        );
    }
}
