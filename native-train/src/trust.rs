//! Trust in a GPU: its kernels are checked beside the CPU's before the first use, and the outcome is remembered.
//!
//! A check counts for one type of card, one driver and one build of this program. It is kept in the user's folder of
//! caches, where only outcomes with which the card can be used are kept: a card that cannot be is checked each time.

use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};
use std::{env, fs};

use anyhow::Result;
use candle_core::DType;
use serde::{Deserialize, Serialize};
use shared::kernels::cuda::{Operation, go_plain};
use shared::kernels::self_check::{self, Difference};
use shared::words::{counted, joined};

use crate::device::{self, Device, Devices};
use crate::error::UserError;
use crate::progress::Progress;
use crate::run::files::{read_json, write_json};

/// The most checks that are remembered.
const REMEMBERED: usize = 32;

/// All that an outcome counts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub card: String,
    /// Whether the card multiplies bf16; otherwise nothing in bf16 is checked, and none is used.
    pub has_bf16: bool,
    /// The driver's version.
    pub driver: String,
    /// This program: its version, size and time of making.
    pub build: String,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(flatten)]
    pub identity: Identity,
    /// The operations that the card computes otherwise than the CPU.
    pub differences: Vec<Found>,
    /// The time that the check took; `None` if its outcome was remembered.
    #[serde(skip)]
    pub seconds: Option<f64>,
}

/// An operation that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub operation: Operation,
    /// The format of its operands, as `bf16`.
    pub format: String,
    /// What differs, in words.
    pub finding: String,
    /// Whether the operation goes another way instead.
    pub goes_plain: bool,
}

impl From<&Difference> for Found {
    fn from(difference: &Difference) -> Self {
        Self {
            operation: difference.operation,
            format: difference.format.as_str().to_owned(),
            finding: difference.to_string(),
            goes_plain: difference.has_plain_way(),
        }
    }
}

/// Checks a GPU before its first use, and warns of what it does another way. The CPU needs no check.
///
/// # Errors
/// If the GPU cannot be opened, or computes something wrong that has no other way.
pub fn establish(device: Device, progress: &Progress) -> Result<()> {
    let Device::Cuda(_) = device else { return Ok(()) };
    let identity = Identity::of(device)?;
    let opened = device::open(device)?;
    let verdict = judge(&identity, cache().as_deref(), &opened)?;
    for warning in verdict.act(device)? {
        progress.warn(warning);
    }
    Ok(())
}

/// Checks each of some devices as [`establish`] does.
///
/// # Errors
/// As of [`establish`].
pub fn establish_all(devices: &Devices, progress: &Progress) -> Result<()> {
    devices.iter().try_for_each(|device| establish(device, progress))
}

/// Returns what is remembered of a card, or checks it.
///
/// # Errors
/// If the CPU's side of the check fails.
pub fn judge(
    identity: &Identity,
    cache: Option<&Path>,
    opened: &candle_core::Device,
) -> Result<Verdict> {
    let known = cache.map(remembered).unwrap_or_default();
    match known.into_iter().find(|known| known.identity == *identity) {
        Some(verdict) => Ok(verdict),
        None => check(identity, cache, opened),
    }
}

/// Checks a card, whatever is remembered, and remembers the outcome.
///
/// # Errors
/// If the CPU's side of the check fails.
pub fn check(
    identity: &Identity,
    cache: Option<&Path>,
    opened: &candle_core::Device,
) -> Result<Verdict> {
    let begin = Instant::now();
    let mut formats = self_check::FORMATS.to_vec();
    formats.retain(|&format| format != DType::BF16 || identity.has_bf16);
    let differences = self_check::check(opened, &formats)?.iter().map(Found::from).collect();
    let seconds = Some(begin.elapsed().as_secs_f64());
    let verdict = Verdict { identity: identity.clone(), differences, seconds };
    if let Some(cache) = cache {
        // Where nothing can be written, the card is checked each time.
        let _ = remember(&verdict, cache);
    }
    Ok(verdict)
}

impl Verdict {
    /// Whether the card can be used.
    pub fn is_usable(&self) -> bool {
        self.differences.iter().all(|found| found.goes_plain)
    }

    /// Has operations go the plain way where they must. Returns a warning for each.
    ///
    /// # Errors
    /// If one differs that has none.
    pub fn act(&self, device: Device) -> Result<Vec<String>> {
        let Identity { card, driver, .. } = &self.identity;
        let wrong: Vec<&str> = self
            .differences
            .iter()
            .filter(|found| !found.goes_plain)
            .map(|found| &*found.finding)
            .collect();
        if !wrong.is_empty() {
            return Err(UserError::new(format!(
                "{device} ({card}, driver {driver}) computes {} otherwise than the CPU, and there is no \
                 other way: {}",
                counted(wrong.len(), "operation"),
                wrong.join("; ")
            ))
            .hint(
                "pass `--device cpu`, or try another driver; an issue report should hold what \
                 `native-train doctor --json` prints",
            )
            .into());
        }
        let mut warnings = Vec::new();
        for Found { operation, format, finding, .. } in &self.differences {
            // A format that is not known is that of a later version's file.
            let Ok(format) = format.parse::<DType>() else { continue };
            go_plain(*operation, format);
            warnings.push(format!(
                "{device} ({card}, driver {driver}) computes {finding}; it goes by simpler kernels, \
                 which is slower"
            ));
        }
        Ok(warnings)
    }
}

impl Identity {
    /// Those of a GPU, and of this program.
    ///
    /// # Errors
    /// If there is no such GPU.
    pub fn of(device: Device) -> Result<Self> {
        let cards = device::cards().map_err(|reason| anyhow::anyhow!("{device}: {reason}"))?;
        let ordinal = match device {
            Device::Cuda(ordinal) => ordinal,
            Device::Cpu => anyhow::bail!("the CPU is no GPU"),
        };
        let card = cards.get(ordinal).ok_or_else(|| anyhow::anyhow!("there is no {device}"))?;
        let (major, minor) = card.compute_capability;
        Ok(Self {
            card: format!("{}, compute capability {major}.{minor}", card.name),
            has_bf16: card.has_bf16(),
            driver: device::driver().unwrap_or_else(|| "unknown".to_owned()),
            build: build(),
        })
    }
}

/// The version of this program, and the size and time of its file: another build has others.
fn build() -> String {
    let file = env::current_exe().and_then(fs::metadata).ok();
    let size = file.as_ref().map_or(0, fs::Metadata::len);
    let modified = file.and_then(|file| file.modified().ok());
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    joined([env!("CARGO_PKG_VERSION").to_owned(), size.to_string(), since.as_nanos().to_string()])
}

/// The folder of what this program remembers of cards, if the user has a folder of caches.
pub fn cache() -> Option<PathBuf> {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(caches.join("quintet"))
}

fn file(cache: &Path) -> PathBuf {
    cache.join("cards.json")
}

/// The outcomes so far. None where the file is missing, or of another version.
fn remembered(cache: &Path) -> Vec<Verdict> {
    read_json(&file(cache)).unwrap_or_default()
}

fn remember(verdict: &Verdict, cache: &Path) -> Result<()> {
    let mut known = remembered(cache);
    known.retain(|known| known.identity != verdict.identity);
    if verdict.is_usable() {
        known.insert(0, verdict.clone());
        known.truncate(REMEMBERED);
    }
    fs::create_dir_all(cache)?;
    write_json(&file(cache), &known)
}

#[cfg(feature = "cuda-emulator")]
#[cfg(test)]
mod tests {
    use candle_core::Device as Opened;
    use shared::kernels::cuda::{Fault, emulate, emulate_faulty};

    use super::*;

    fn identity() -> Identity {
        Identity {
            card: "X1".to_owned(),
            has_bf16: true,
            driver: "580".to_owned(),
            build: "1".to_owned(),
        }
    }

    fn cache() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_check_is_remembered_by_card_driver_and_build() {
        let cache = cache();
        let judged = |identity: &Identity| {
            emulate(|| judge(identity, Some(cache.path()), &Opened::Cpu)).unwrap()
        };
        let first = judged(&identity());
        assert!(first.seconds.is_some() && first.differences.is_empty());
        assert_eq!(judged(&identity()).seconds, None, "remembered");
        for other in [
            Identity { card: "X2".to_owned(), ..identity() },
            Identity { driver: "590".to_owned(), ..identity() },
            Identity { build: "2".to_owned(), ..identity() },
        ] {
            assert!(judged(&other).seconds.is_some(), "{other:?}");
        }
        assert_eq!(judged(&identity()).seconds, None, "beside the others");
    }

    #[test]
    fn wrong_attention_is_warned_of_and_goes_another_way_also_when_remembered() {
        // A thread of its own, as the way is the thread's.
        std::thread::spawn(check_wrong_attention).join().unwrap();
    }

    fn check_wrong_attention() {
        let cache = cache();
        let kernel = "attention_backward_bf16_32";
        let judged = |fault| {
            emulate_faulty(kernel, fault, || judge(&identity(), Some(cache.path()), &Opened::Cpu))
        };
        let first = judged(Fault::BlockLost).unwrap();
        let again = judged(Fault::BlockLost).unwrap();
        assert_eq!((again.seconds, &again.differences), (None, &first.differences));
        let warnings = again.act(Device::Cuda(0)).unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        let begin = "cuda:0 (X1, driver 580) computes attention in bf16: the gradient by ";
        assert!(warning.starts_with(begin), "{warning}");
        assert!(warning.contains(kernel) && warning.ends_with("which is slower"), "{warning}");
        // As it no longer is used, the kernel is no longer noticed.
        let healed = emulate_faulty(kernel, Fault::BlockLost, || {
            self_check::check(&Opened::Cpu, &self_check::FORMATS)
        });
        assert_eq!(healed.unwrap(), []);
    }

    #[test]
    fn a_wrong_kernel_without_another_way_stops_the_run_and_is_not_remembered() {
        let cache = cache();
        for _ in 0..2 {
            let verdict = emulate_faulty("gelu_forward_bf16", Fault::BlockLost, || {
                judge(&identity(), Some(cache.path()), &Opened::Cpu)
            });
            let verdict = verdict.unwrap();
            assert!(verdict.seconds.is_some() && !verdict.is_usable());
            let error = verdict.act(Device::Cuda(1)).unwrap_err();
            let told = error.to_string();
            let begin = "cuda:1 (X1, driver 580) computes 1 operation otherwise than the CPU, and there is \
                         no other way: GELU in bf16: ";
            assert!(told.starts_with(begin) && told.contains("gelu_forward_bf16"), "{told}");
            let hint = error.downcast_ref::<UserError>().unwrap().remedy().unwrap();
            assert!(hint.contains("--device cpu") && hint.contains("doctor"), "{hint}");
        }
    }

    #[test]
    fn a_cache_that_is_damaged_or_missing_costs_a_check_and_nothing_else() {
        let cache = cache();
        fs::write(file(cache.path()), "{").unwrap();
        for folder in [Some(cache.path()), None] {
            let verdict = emulate(|| judge(&identity(), folder, &Opened::Cpu)).unwrap();
            assert!(verdict.seconds.is_some());
        }
        let mended = emulate(|| judge(&identity(), Some(cache.path()), &Opened::Cpu)).unwrap();
        assert_eq!(mended.seconds, None);
    }
}
