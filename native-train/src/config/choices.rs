//! Settings that are one of a few words: model, split, device, precision.
//!
//! What the user may write (`auto` among it) and what a training then uses are separate types, so
//! that nothing further in can meet an `auto`.

use std::{fmt, str::FromStr};

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    device::{self, Card, Device},
    error::UserError,
    training::Precision,
};

/// Where the model to fine-tune comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ModelChoice {
    /// The built-in small model: weights from the seed, tokenizer learnt from the training texts.
    Mini,
    /// A local folder or a hub id: which of the two is for whoever opens it to find out.
    Pretrained(String),
}

impl From<String> for ModelChoice {
    fn from(name: String) -> Self {
        if name == "mini" { Self::Mini } else { Self::Pretrained(name) }
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
            Self::Pretrained(name) => f.write_str(name),
        }
    }
}

/// What `--device` says: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    Auto,
    Only(Device),
}

impl DeviceChoice {
    /// The first card for `auto`, or the CPU where there is none.
    ///
    /// # Errors
    /// If a card is asked for that is not there.
    pub fn resolve(self) -> Result<Device> {
        let cards = device::cards();
        match self {
            Self::Auto if cards.is_ok() => Ok(Device::Cuda(0)),
            Self::Auto | Self::Only(Device::Cpu) => Ok(Device::Cpu),
            Self::Only(Device::Cuda(ordinal)) => match cards {
                Ok(cards) if ordinal < cards.len() => Ok(Device::Cuda(ordinal)),
                Ok(cards) => Err(absent(ordinal, &format!("there is {}", listed(cards)))
                    .hint("pass `--device cuda:N` with one of these, or leave `--device` out")
                    .into()),
                Err(reason) => Err(absent(ordinal, reason).hint(REMEDY).into()),
            },
        }
    }

    /// Why `auto` is the CPU, if it is.
    pub fn why_cpu(self) -> Option<&'static str> {
        if self == Self::Auto { device::cards().err() } else { None }
    }
}

const REMEDY: &str = if cfg!(feature = "cuda") {
    "pass `--device cpu`, or leave `--device` out"
} else {
    "build with `--features cuda`, pass `--device cpu`, or leave `--device` out"
};

fn absent(ordinal: usize, reason: &str) -> UserError {
    UserError::new(format!("device `cuda:{ordinal}` was asked for, but {reason}"))
}

/// `cuda:0 (NVIDIA H100)`
fn listed(cards: &[Card]) -> String {
    let cards = cards.iter().enumerate();
    let words: Vec<String> = cards.map(|(i, card)| format!("cuda:{i} ({})", card.name)).collect();
    words.join(", ")
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(device)) => Ok(Self::Only(device)),
            (_, Err(())) => Err(format!("`{text}` is none of auto, cpu, cuda, cuda:N")),
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
            DeviceChoice::Only(device) => device.to_string(),
        }
    }
}

/// What `--parallel-folds` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub enum ParallelFolds {
    /// As many as a card's memory allows; one on the CPU.
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
            _ => Err(format!("`{text}` is neither auto nor a number from 1")),
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

/// What `--precision` says.
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
    pub fn resolve(self, device: Device) -> Precision {
        match self {
            Self::Auto => match device {
                Device::Cpu => Precision::F32,
                Device::Cuda(ordinal) => match device::cards().map(|cards| cards.get(ordinal)) {
                    Ok(Some(card)) if !card.has_bf16() => Precision::F16,
                    _ => Precision::Bf16,
                },
            },
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::F16 => Precision::F16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_and_write_the_same_words() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Only(Device::Cpu)),
            ("cuda:3", DeviceChoice::Only(Device::Cuda(3))),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(String::from(choice), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Only(Device::Cuda(0))));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:x", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
        assert!(Device::try_from("auto".to_owned()).is_err());
    }

    #[test]
    fn only_auto_gives_a_reason_for_the_cpu() {
        let cpu = DeviceChoice::Only(Device::Cpu);
        assert_eq!((cpu.resolve().unwrap(), cpu.why_cpu()), (Device::Cpu, None));
        let auto = DeviceChoice::Auto;
        assert_eq!(auto.resolve().unwrap() == Device::Cpu, auto.why_cpu().is_some());
    }

    #[test]
    fn a_card_that_is_not_there_is_refused_with_what_is() {
        let error = DeviceChoice::Only(Device::Cuda(1000)).resolve().unwrap_err();
        let user = error.downcast_ref::<UserError>().unwrap();
        assert!(user.to_string().starts_with("device `cuda:1000` was asked for, but "), "{user}");
        assert!(user.remedy().unwrap().contains("--device"));
        let card = Card { name: "NVIDIA H100".to_owned(), compute_capability: (9, 0) };
        assert_eq!(listed(&[card]), "cuda:0 (NVIDIA H100)");
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
        assert_eq!(PrecisionChoice::Auto.resolve(Device::Cpu), Precision::F32);
        assert_eq!(PrecisionChoice::Auto.resolve(Device::Cuda(0)), Precision::Bf16);
        assert_eq!(PrecisionChoice::F16.resolve(Device::Cpu), Precision::F16);
    }
}
