//! Settings with a few possible values: model, device, precision, parallel folds, event files.
//!
//! The user's choice, which may be `auto`, and the value that a training uses have separate types, so
//! that no later code meets an `auto`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::words::joined;

use crate::{
    device::{Card, Cards, Device, Devices, hidden},
    error::UserError,
    training::Precision,
};

/// The model to fine-tune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ModelChoice {
    /// The built-in small model: weights from the seed, a tokenizer learned from the training texts.
    Mini,
    /// The built-in pretrained model.
    Small,
    /// A local folder or a hub id, not yet told apart.
    Pretrained(String),
}

impl From<String> for ModelChoice {
    fn from(name: String) -> Self {
        match name.as_str() {
            "mini" => Self::Mini,
            "small" => Self::Small,
            _ => Self::Pretrained(name),
        }
    }
}

impl From<ModelChoice> for String {
    fn from(model: ModelChoice) -> Self {
        model.to_string()
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mini => f.write_str("mini"),
            Self::Small => f.write_str("small"),
            Self::Pretrained(name) => f.write_str(name),
        }
    }
}

/// Whether a training writes event files for TensorBoard, and where: the value of `--tensorboard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventFiles {
    /// In the run's own folder, or not at all.
    InRun(bool),
    In(PathBuf),
}

impl Default for EventFiles {
    fn default() -> Self {
        Self::InRun(false)
    }
}

impl FromStr for EventFiles {
    type Err = std::convert::Infallible;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Ok(value.parse().map_or_else(|_| Self::In(value.into()), Self::InRun))
    }
}

impl EventFiles {
    /// The folder for the event files of a run in the folder `run`.
    pub fn folder(&self, run: &Path) -> Option<PathBuf> {
        match self {
            Self::InRun(wanted) => wanted.then(|| run.join("tensorboard")),
            Self::In(folder) => Some(folder.clone()),
        }
    }
}

/// The value of `--device`: `auto`, `all`, `cpu`, `cuda`, `cuda:N`, or several of these GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    Auto,
    /// All GPUs.
    All,
    Only(Devices),
}

impl DeviceChoice {
    /// The devices to use: for `auto` the first GPU, or the CPU where there is none. The CPU is used
    /// without asking for `cards`.
    ///
    /// # Errors
    /// If a chosen GPU is not there.
    pub fn resolve(&self, cards: impl Fn() -> Cards) -> Result<Devices> {
        match self {
            Self::Auto if cards().is_ok() => Ok(Device::Cuda(0).into()),
            Self::Auto => Ok(Device::Cpu.into()),
            Self::All => match cards() {
                Ok(cards) => Ok(Devices::all(cards.len())),
                Err(reason) => Err(absent(Device::Cuda(0), reason).hint(REMEDY).into()),
            },
            Self::Only(devices) => {
                devices.iter().try_for_each(|device| present(device, &cards))?;
                Ok(devices.clone())
            }
        }
    }

    /// The device to use where only one can be.
    ///
    /// # Errors
    /// If it is not there, or several are chosen.
    pub fn resolve_one(&self, cards: impl Fn() -> Cards) -> Result<Device> {
        let devices = self.resolve(cards)?;
        if devices.are_several() {
            let error = UserError::new(format!("this command uses one device, not `{devices}`"));
            return Err(error.hint(format!("pass `--device {}`", devices.first())).into());
        }
        Ok(devices.first())
    }
}

fn present(device: Device, cards: impl Fn() -> Cards) -> Result<()> {
    let Device::Cuda(ordinal) = device else { return Ok(()) };
    match cards() {
        Ok(cards) if ordinal < cards.len() => Ok(()),
        Ok(cards) => Err(absent(device, &format!("there is {}{}", named(cards), hidden()))
            .hint("pass `--device cuda:N` with one of these, or leave `--device` out")
            .into()),
        Err(reason) => Err(absent(device, reason).hint(REMEDY).into()),
    }
}

const REMEDY: &str = if cfg!(feature = "cuda") {
    "pass `--device cpu`, or leave `--device` out"
} else {
    "build with `--features cuda`, pass `--device cpu`, or leave `--device` out"
};

fn absent(device: Device, reason: &str) -> UserError {
    UserError::new(format!("device `{device}` was asked for, but {reason}"))
}

/// `cuda:0 (NVIDIA H100)`
fn named(cards: &[Card]) -> String {
    joined(
        cards.iter().enumerate().map(|(ordinal, card)| format!("cuda:{ordinal} ({})", card.name)),
    )
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            ("all", _) => Ok(Self::All),
            (_, Ok(devices)) => Ok(Self::Only(devices)),
            (_, Err(())) => Err(format!(
                "`{text}` is not a device: use auto, cpu, cuda, cuda:N, cuda:0,cuda:1 or all"
            )),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Auto => "auto".to_owned(),
            DeviceChoice::All => "all".to_owned(),
            DeviceChoice::Only(devices) => devices.to_string(),
        }
    }
}

/// The value of `--parallel-folds`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub enum ParallelFolds {
    /// The number that the GPU's memory allows; one on the CPU.
    #[default]
    Auto,
    Only(usize),
}

impl FromStr for ParallelFolds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(folds)) if folds > 0 => Ok(Self::Only(folds)),
            _ => Err(format!("`{text}` is neither `auto` nor a number from 1 up")),
        }
    }
}

impl TryFrom<toml::Value> for ParallelFolds {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        }
    }
}

impl From<ParallelFolds> for toml::Value {
    fn from(folds: ParallelFolds) -> Self {
        match folds {
            ParallelFolds::Auto => Self::String("auto".to_owned()),
            ParallelFolds::Only(folds) => Self::Integer(folds as i64),
        }
    }
}

/// The value of `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// bf16 or f16 on a GPU, f32 on the CPU
    Auto,
    F32,
    Bf16,
    F16,
}

impl PrecisionChoice {
    /// The format to use on some devices: for `auto` the best half precision that all GPUs have, as a fold becomes the
    /// same wherever it trains, and f32 on the CPU.
    pub fn resolve(self, devices: &Devices, cards: impl Fn() -> Cards) -> Precision {
        let lacks_bf16 = |device| match device {
            Device::Cpu => false,
            Device::Cuda(ordinal) => {
                let card = cards().ok().and_then(|cards| cards.get(ordinal));
                card.is_some_and(|card| !card.has_bf16())
            }
        };
        match self {
            Self::Auto if devices.first() == Device::Cpu => Precision::F32,
            Self::Auto if devices.iter().any(lacks_bf16) => Precision::F16,
            Self::F32 => Precision::F32,
            Self::Auto | Self::Bf16 => Precision::Bf16,
            Self::F16 => Precision::F16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(device: Device) -> DeviceChoice {
        DeviceChoice::Only(device.into())
    }

    #[test]
    fn devices_read_and_write_the_same_words() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("all", DeviceChoice::All),
            ("cuda:0,cuda:1", DeviceChoice::Only(Devices::all(2))),
            ("cpu", only(Device::Cpu)),
            ("cuda:3", only(Device::Cuda(3))),
        ] {
            assert_eq!(text.parse(), Ok(choice.clone()));
            assert_eq!(String::from(choice), text);
        }
        assert_eq!("cuda".parse(), Ok(only(Device::Cuda(0))));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:x", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
        assert!(Device::try_from("auto".to_owned()).is_err());
    }

    const NO_GPU: fn() -> Cards = || Err("there is none");

    fn one_gpu(compute_capability: (u32, u32)) -> impl Fn() -> Cards {
        move || Ok(vec![Card { name: "NVIDIA H100".to_owned(), compute_capability }].leak())
    }

    #[test]
    fn auto_is_the_first_gpu_or_the_cpu_and_the_cpu_asks_for_none() {
        let never = || -> Cards { panic!("the GPUs were looked for") };
        assert_eq!(only(Device::Cpu).resolve(never).unwrap(), Device::Cpu.into());
        assert_eq!(DeviceChoice::Auto.resolve(NO_GPU).unwrap(), Device::Cpu.into());
        assert_eq!(DeviceChoice::Auto.resolve(one_gpu((9, 0))).unwrap(), Device::Cuda(0).into());
    }

    #[test]
    fn a_card_that_is_not_there_is_refused_with_those_that_are() {
        let second = only(Device::Cuda(1));
        for (error, reason) in [
            (second.resolve(NO_GPU).unwrap_err(), "there is none"),
            (second.resolve(one_gpu((9, 0))).unwrap_err(), "there is cuda:0 (NVIDIA H100)"),
        ] {
            let user = error.downcast_ref::<UserError>().unwrap();
            let message = format!("device `cuda:1` was asked for, but {reason}");
            assert_eq!(user.to_string(), message);
            assert!(user.remedy().unwrap().contains("--device"));
        }
    }

    #[test]
    fn parallel_folds_are_a_word_or_a_number() {
        assert_eq!("auto".parse(), Ok(ParallelFolds::Auto));
        assert_eq!("3".parse(), Ok(ParallelFolds::Only(3)));
        for wrong in ["0", "-1", "many", ""] {
            assert!(wrong.parse::<ParallelFolds>().is_err(), "{wrong}");
        }
        for folds in [ParallelFolds::Auto, ParallelFolds::Only(5)] {
            assert_eq!(ParallelFolds::try_from(toml::Value::from(folds)), Ok(folds));
        }
    }

    #[test]
    fn only_a_gpu_gets_half_precision_unasked() {
        let auto = PrecisionChoice::Auto;
        assert_eq!(auto.resolve(&Device::Cpu.into(), NO_GPU), Precision::F32);
        assert_eq!(auto.resolve(&Device::Cuda(0).into(), one_gpu((8, 0))), Precision::Bf16);
        assert_eq!(auto.resolve(&Device::Cuda(0).into(), one_gpu((7, 5))), Precision::F16);
        let card = |compute_capability| Card { name: "NVIDIA".to_owned(), compute_capability };
        let two = || -> Cards { Ok(vec![card((9, 0)), card((7, 5))].leak()) };
        assert_eq!(auto.resolve(&Devices::all(2), two), Precision::F16);
        assert_eq!(PrecisionChoice::F16.resolve(&Device::Cpu.into(), NO_GPU), Precision::F16);
    }
}
