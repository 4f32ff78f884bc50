//! The devices of this machine: which cards can be used, or why none can, and how much memory they have.
//!
//! A program built with the feature `cuda` starts without CUDA, so whether there is any is asked here before the first
//! of its functions is called. What the user may wish for is `config`'s.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(feature = "cuda")]
use anyhow::Context;
use anyhow::Result;
use serde::{Deserialize, Serialize};

#[cfg(feature = "cuda")]
mod cuda;

/// Where the arithmetic runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    Cpu,
    /// The CUDA card of this ordinal.
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
        text.parse().map_err(|()| format!("`{text}` is none of cpu, cuda, cuda:N"))
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

/// A card that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// As NVIDIA calls it.
    pub name: String,
    /// Major and minor, (9, 0) for a Hopper card.
    pub compute_capability: (u32, u32),
}

impl Card {
    /// Whether its tensor cores multiply bf16.
    pub fn has_bf16(&self) -> bool {
        self.compute_capability >= (8, 0)
    }
}

/// Bytes of a device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub free: u64,
    pub total: u64,
}

/// The cards by ordinal; or why there is none that can be used, as half a sentence.
pub fn cards() -> Result<&'static [Card], &'static str> {
    static CARDS: OnceLock<Result<Vec<Card>, String>> = OnceLock::new();
    CARDS.get_or_init(find).as_deref().map_err(String::as_str)
}

#[cfg(feature = "cuda")]
use cuda::find;

#[cfg(not(feature = "cuda"))]
fn find() -> Result<Vec<Card>, String> {
    Err("this build has no CUDA".to_owned())
}

/// The device for tensors; each call gives a card another stream, whose tensors only those of the same stream may meet.
///
/// # Errors
/// If the card cannot be set up: another program may have it for itself, or its memory is full.
pub fn open(device: Device) -> Result<candle_core::Device> {
    match device {
        Device::Cpu => Ok(candle_core::Device::Cpu),
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => {
            cuda::open(ordinal).with_context(|| format!("setting up `{device}`"))
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => anyhow::bail!("`{device}`: this build has no CUDA"),
    }
}

/// What a card has and has left; `None` for the CPU, whose memory the system shares out.
///
/// # Errors
/// If the driver does not say.
pub fn memory(device: &candle_core::Device) -> Result<Option<Memory>> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => cuda::memory(device).map(Some),
        _ => Ok(None),
    }
}

/// The most bytes that this program's tensors have held on a card at a time; `None` for the CPU.
///
/// As `torch.cuda.max_memory_allocated`: without what the driver itself takes.
///
/// # Errors
/// If the driver does not say.
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
