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

use crate::error::UserError;

pub use card::{Card, Library, Memory};

/// The device that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// The devices of a command: the CPU, or one GPU or more. Written as `cuda:0,cuda:1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Devices {
    first: Device,
    /// GPUs, ascending, as is the first.
    more: Vec<Device>,
}

impl Devices {
    /// The GPUs with ordinals below `count`, of which there is one at least.
    pub fn all(count: usize) -> Self {
        Self { first: Device::Cuda(0), more: (1..count).map(Device::Cuda).collect() }
    }

    /// The device for what only one does.
    pub fn first(&self) -> Device {
        self.first
    }

    pub fn iter(&self) -> impl Iterator<Item = Device> + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    pub fn are_several(&self) -> bool {
        !self.more.is_empty()
    }
}

impl From<Device> for Devices {
    fn from(first: Device) -> Self {
        Self { first, more: Vec::new() }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.more.iter().try_for_each(|device| write!(f, ",{device}"))
    }
}

impl From<Devices> for String {
    fn from(devices: Devices) -> Self {
        devices.to_string()
    }
}

impl TryFrom<String> for Devices {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|()| {
            format!("`{text}` names no devices: use cpu, cuda, cuda:N, or several as cuda:0,cuda:1")
        })
    }
}

impl FromStr for Devices {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut devices = text.split(',').map(str::parse).collect::<Result<Vec<Device>, ()>>()?;
        devices.sort_unstable();
        let count = devices.len();
        devices.dedup();
        // The CPU comes first, and alone.
        if devices.len() < count || count > 1 && devices[0] == Device::Cpu {
            return Err(());
        }
        let first = devices.remove(0);
        Ok(Self { first, more: devices })
    }
}

/// Whether an error is a GPU's: the driver or a library has failed, or its memory is full. Candle passes these errors on
/// as text.
pub fn is_of_gpu(error: &anyhow::Error) -> bool {
    let words = format!("{error:?}");
    ["CUDA_ERROR_", "CUBLAS_STATUS_", "CURAND_STATUS_", OUT_OF_MEMORY]
        .iter()
        .any(|phrase| words.contains(phrase))
}

/// Whether memory is full: candle passes the driver's error on as text.
pub fn is_out_of_memory(error: &anyhow::Error) -> bool {
    let words = format!("{error:?}").to_lowercase();
    ["out of memory", "out_of_memory", "alloc_failed"].iter().any(|phrase| words.contains(phrase))
}

/// A GPU's error with what to do about it, unless it says that already; every other error as it is.
pub fn explain(error: anyhow::Error) -> anyhow::Error {
    if !is_of_gpu(&error) || error.chain().any(<dyn std::error::Error>::is::<UserError>) {
        return error;
    }
    if is_out_of_memory(&error) {
        return UserError::new(format!("{OUT_OF_MEMORY}: {error:#}"))
            .hint("end other programs that use this GPU, or pass another `--device`")
            .into();
    }
    if format!("{error:?}").contains("CUDA_ERROR_NO_BINARY_FOR_GPU") {
        return UserError::new(format!("this program has no code for the GPU: {error:#}"))
            .hint(
                "`native-train doctor` lists what its kernels are compiled for; build it with CUDA_COMPUTE_CAP set to \
                 the GPU's compute capability (75 for a T4), or pass `--device cpu`",
            )
            .into();
    }
    // What is noticed at a call may be the fault of an earlier one.
    UserError::new(format!("the GPU has failed: {error:#}"))
        .hint(
            "a training continues from its last checkpoint with `--resume`; with QUINTET_CUDA_SYNC=1 in the \
             environment each kernel is waited for, so that the one that fails is named",
        )
        .into()
}

/// The beginning of the message about full memory.
pub const OUT_OF_MEMORY: &str = "the GPU is out of memory";

/// The GPUs by ordinal, or the reason why none can be used, as half a sentence.
pub type Cards = Result<&'static [Card], &'static str>;

/// The GPUs of this machine, which are looked for once.
pub fn cards() -> Cards {
    static CARDS: OnceLock<Result<Vec<Card>, String>> = OnceLock::new();
    CARDS
        .get_or_init(|| find().map_err(|reason| reason + &hidden()))
        .as_deref()
        .map_err(String::as_str)
}

/// The environment variable by which the driver leaves out GPUs. It counts those that are left from 0.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// What hides GPUs, to be added to a sentence about those that there are; nothing where all are seen, or the build has no CUDA.
pub fn hidden() -> String {
    if cfg!(feature = "cuda") {
        visible_devices(std::env::var(VISIBLE).ok().as_deref())
    } else {
        String::new()
    }
}

fn visible_devices(value: Option<&str>) -> String {
    match value.map(str::trim) {
        None => String::new(),
        Some("") => format!(" ({VISIBLE} is empty and hides all)"),
        Some(value) => format!(" ({VISIBLE} is `{value}`, and the driver shows no other)"),
    }
}

#[cfg(feature = "cuda")]
use cuda::find;

#[cfg(not(feature = "cuda"))]
fn find() -> Result<Vec<Card>, String> {
    Err("this build has no CUDA".to_owned())
}

/// The libraries that this program loads for a GPU; none without the feature `cuda`.
pub fn libraries() -> Vec<Library> {
    #[cfg(feature = "cuda")]
    return cuda::libraries();
    #[cfg(not(feature = "cuda"))]
    Vec::new()
}

/// The version of NVIDIA's driver, such as 580.65.06, if there is one.
pub fn driver() -> Option<String> {
    version_of_driver(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// Reads `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun ...`.
fn version_of_driver(text: &str) -> Option<String> {
    let mut words = text.lines().next()?.split_whitespace();
    let version = words.find(|word| {
        word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    version.map(str::to_owned)
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
/// As `torch.cuda.max_memory_allocated`, it leaves out the driver's own memory. `None` also where the driver does not
/// report it.
pub fn peak_memory(device: &candle_core::Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => cuda::peak_memory(device).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_gpus_errors_are_explained_once_and_others_are_passed_on() {
        let full = explain(anyhow!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"));
        assert!(full.to_string().starts_with("the GPU is out of memory: Driver"), "{full}");
        assert!(full.downcast_ref::<UserError>().unwrap().remedy().is_some());

        let failed = explain(anyhow!("CUDA_ERROR_ILLEGAL_ADDRESS").context("cannot set up"));
        let words = "the GPU has failed: cannot set up: CUDA_ERROR_ILLEGAL_ADDRESS";
        assert_eq!(failed.to_string(), words);
        assert_eq!(explain(failed).to_string(), words);
        assert_eq!(explain(anyhow!("disk full")).to_string(), "disk full");
    }

    #[test]
    fn the_cpu_is_always_there_and_has_no_memory_of_its_own() {
        let cpu = open(Device::Cpu).unwrap();
        assert!(cpu.is_cpu());
        assert_eq!(memory(&cpu).unwrap(), None);
        assert_eq!(peak_memory(&cpu), None);
    }

    #[test]
    fn several_devices_are_different_gpus() {
        for (text, read) in [
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("cuda:2,cuda", "cuda:0,cuda:2"),
            ("cuda:0,cuda:1,cuda:3", "cuda:0,cuda:1,cuda:3"),
        ] {
            assert_eq!(text.parse::<Devices>().unwrap().to_string(), read);
        }
        for wrong in ["", "cuda:1,", "cpu,cuda", "cuda,cuda:0", "cuda:0 cuda:1", "all"] {
            assert!(wrong.parse::<Devices>().is_err(), "{wrong}");
        }
        assert_eq!(Devices::all(3).to_string(), "cuda:0,cuda:1,cuda:2");
        assert!(!Devices::all(1).are_several());
    }

    #[test]
    fn what_hides_gpus_is_named() {
        assert_eq!(visible_devices(None), "");
        assert_eq!(visible_devices(Some("")), " (CUDA_VISIBLE_DEVICES is empty and hides all)");
        let some = " (CUDA_VISIBLE_DEVICES is `2,5`, and the driver shows no other)";
        assert_eq!(visible_devices(Some("2,5")), some);
    }

    #[test]
    fn there_are_cards_or_there_is_a_reason() {
        match cards() {
            Ok(cards) => assert!(!cards.is_empty()),
            Err(reason) => assert!(!reason.is_empty() && !reason.ends_with('.'), "{reason}"),
        }
    }

    #[test]
    fn the_driver_s_version_is_read_whichever_module_it_is() {
        for (text, version) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:13:43 UTC 2025\nGCC 12.3\n",
                "580.65.06",
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n",
                "570.86.15",
            ),
        ] {
            assert_eq!(version_of_driver(text).as_deref(), Some(version));
        }
        assert_eq!(version_of_driver("nothing"), None);
    }

    #[test]
    fn bf16_begins_with_ampere() {
        let card = |compute_capability| Card { name: String::new(), compute_capability };
        assert!(!card((7, 5)).has_bf16());
        assert!(card((8, 0)).has_bf16() && card((9, 0)).has_bf16());
    }
}
