//! The devices of this machine: which GPUs can be used, or why none can, and how much memory they have.
//!
//! A program built with the feature `cuda` also starts where there is no CUDA, so its presence is checked
//! here before the first of its functions is called. The user's choice of a device is in `config`.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(feature = "cuda")]
use anyhow::Context;
use anyhow::Result;
use serde::{Deserialize, Serialize};

mod card;
#[cfg(feature = "cuda")]
mod cuda;

pub use card::{Card, Memory};

/// The device that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    Cpu,
    /// The GPU with this CUDA ordinal.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|()| format!("`{text}` is not a device: use cpu, cuda or cuda:N"))
    }
}

impl FromStr for Device {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let ordinal = text.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok());
                ordinal.map(Self::Cuda).ok_or(())
            }
        }
    }
}

/// The GPUs by ordinal, or the reason why none can be used, as half a sentence.
pub type Cards = Result<&'static [Card], &'static str>;

/// The GPUs of this machine, which are looked for once.
pub fn cards() -> Cards {
    static CARDS: OnceLock<Result<Vec<Card>, String>> = OnceLock::new();
    CARDS.get_or_init(find).as_deref().map_err(String::as_str)
}

#[cfg(feature = "cuda")]
use cuda::find;

#[cfg(not(feature = "cuda"))]
fn find() -> Result<Vec<Card>, String> {
    Err("this build has no CUDA".to_owned())
}

/// Opens the device for tensors. Each call opens another stream of a GPU, and tensors of different
/// streams must not meet.
///
/// # Errors
/// If the GPU cannot be set up, because another program has it for itself or its memory is full.
pub fn open(device: Device) -> Result<candle_core::Device> {
    match device {
        Device::Cpu => Ok(candle_core::Device::Cpu),
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => {
            cuda::open(ordinal).with_context(|| format!("cannot set up `{device}`"))
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => anyhow::bail!("`{device}`: this build has no CUDA"),
    }
}

/// The memory of a GPU; `None` for the CPU.
///
/// # Errors
/// If the driver does not report it.
pub fn memory(device: &candle_core::Device) -> Result<Option<Memory>> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => cuda::memory(device).map(Some),
        _ => Ok(None),
    }
}

/// The most bytes that this program's tensors have taken on a GPU at a time; `None` for the CPU.
///
/// As `torch.cuda.max_memory_allocated`, it leaves out the driver's own memory.
///
/// # Errors
/// If the driver does not report it.
pub fn peak_memory(device: &candle_core::Device) -> Result<Option<u64>> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => cuda::peak_memory(device).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_has_no_memory_of_its_own() {
        let cpu = open(Device::Cpu).unwrap();
        assert!(cpu.is_cpu());
        assert_eq!(memory(&cpu).unwrap(), None);
        assert_eq!(peak_memory(&cpu).unwrap(), None);
    }

    #[test]
    fn there_are_cards_or_there_is_a_reason() {
        match cards() {
            Ok(cards) => assert!(!cards.is_empty()),
            Err(reason) => assert!(!reason.is_empty() && !reason.ends_with('.'), "{reason}"),
        }
    }

    #[test]
    fn bf16_begins_with_ampere() {
        let card = |compute_capability| Card { name: String::new(), compute_capability };
        assert!(!card((7, 5)).has_bf16());
        assert!(card((8, 0)).has_bf16() && card((9, 0)).has_bf16());
    }
}
