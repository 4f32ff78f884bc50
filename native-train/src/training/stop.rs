//! A request to stop: SIGTERM, which batch systems send before they take a machine away.
//!
//! While a training listens, the request does not end the process: the training ends its step, saves a checkpoint and
//! returns [`Stopped`], and the program ends with [`EXIT_CODE`]. At all other times SIGTERM ends the process as usual.

use std::fmt;

use anyhow::Result;

use super::context::Subject;

/// The exit code of a program that saved its state and wants to be started again: `EX_TEMPFAIL` of BSD's sysexits.
pub const EXIT_CODE: u8 = 75;

/// The error of a training that was asked to stop, and has saved its state.
#[derive(Debug)]
pub struct Stopped {
    pub subject: Subject,
    /// Steps done.
    pub step: usize,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, step } = self;
        write!(
            f,
            "{subject} was asked to stop (SIGTERM): its state after step {step} is saved, and --resume continues"
        )
    }
}

impl std::error::Error for Stopped {}

/// While one of these exists, SIGTERM is a request. Trainings that run side by side have one each.
#[derive(Debug)]
pub struct Listening(());

impl Listening {
    /// # Errors
    /// If the system does not allow it.
    pub fn begin() -> Result<Self> {
        signal::begin()?;
        Ok(Self(()))
    }

    /// Whether the process was asked to stop.
    pub fn is_asked(&self) -> bool {
        signal::is_asked()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        signal::end();
    }
}

#[cfg(unix)]
mod signal {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock};

    use anyhow::{Context, Result};
    use signal_hook::{consts::SIGTERM, flag};

    /// What the signal handler reads and writes.
    struct Flags {
        nobody_listens: Arc<AtomicBool>,
        asked: Arc<AtomicBool>,
        listeners: Mutex<usize>,
    }

    static FLAGS: OnceLock<Flags> = OnceLock::new();

    fn flags() -> &'static Flags {
        FLAGS.get_or_init(|| Flags {
            nobody_listens: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
            listeners: Mutex::new(0),
        })
    }

    pub fn begin() -> Result<()> {
        static REGISTERED: OnceLock<std::io::Result<()>> = OnceLock::new();
        let Flags { nobody_listens, asked, listeners } = flags();
        let registered = REGISTERED.get_or_init(|| {
            // In this order: the first ends the process.
            flag::register_conditional_default(SIGTERM, Arc::clone(nobody_listens))?;
            flag::register(SIGTERM, Arc::clone(asked))?;
            Ok(())
        });
        if let Err(error) = registered {
            return Err(std::io::Error::from(error.kind())).context("cannot handle SIGTERM");
        }
        *listeners.lock().expect("nobody panics with it") += 1;
        nobody_listens.store(false, Ordering::SeqCst);
        Ok(())
    }

    pub fn end() {
        let Flags { nobody_listens, listeners, .. } = flags();
        let mut listeners = listeners.lock().expect("nobody panics with it");
        *listeners -= 1;
        nobody_listens.store(*listeners == 0, Ordering::SeqCst);
    }

    pub fn is_asked() -> bool {
        flags().asked.load(Ordering::SeqCst)
    }
}

/// Elsewhere there is no such signal.
#[cfg(not(unix))]
mod signal {
    pub fn begin() -> anyhow::Result<()> {
        Ok(())
    }

    pub fn end() {}

    pub fn is_asked() -> bool {
        false
    }
}
