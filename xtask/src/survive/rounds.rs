//! Rounds: a command is struck, what it left is looked at, and it is tried again.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result};

use super::blow::{Blow, Left};
use super::contents::Contents;
use super::random::Random;
use super::tally::{Struck, Tally};
use super::victim::{Stage, Victim};

/// How many rounds, of which numbers, and whether file systems may be mounted.
pub struct Series {
    pub rounds: usize,
    pub seed: u64,
    pub may_mount: bool,
}

impl Series {
    /// Plays the rounds, each with random numbers of its own, so that the same seed strikes it alike whatever came before. A
    /// round that is not survived is told, and the next begins.
    ///
    /// # Errors
    /// If a round cannot be played.
    pub fn play<B: Debug>(
        &self,
        command: &'static str,
        takes: Duration,
        mut round: impl FnMut(&mut Random) -> Result<(B, Result<Struck>)>,
    ) -> Result<Tally> {
        let mut tally = Tally::new(command, takes);
        for number in 1..=self.rounds {
            let mut random = Random::of(self.seed, &format!("{command} {number}"));
            let (blow, outcome) = round(&mut random)?;
            let round = format!("{command} {number} of {}: {blow:?}", self.rounds);
            match outcome {
                Ok(struck) => {
                    eprintln!("{round}, {struck:?}");
                    tally.survived(struck);
                }
                Err(error) => {
                    eprintln!("{round}, FAILED: {error:#}");
                    tally.failed();
                }
            }
        }
        Ok(tally)
    }

    /// Strikes the victim again and again.
    ///
    /// # Errors
    /// As for [`Series::play`].
    pub fn strike(&self, stage: &Stage, victim: &Victim) -> Result<Tally> {
        self.play(victim.plan.name, victim.takes, |random| {
            let blow = Blow::choose(victim, self.may_mount, random);
            Ok((blow, round(stage, victim, blow)))
        })
    }
}

fn round(stage: &Stage, victim: &Victim, blow: Blow) -> Result<Struck> {
    let Left { place, struck, said } = blow.strike(stage, victim)?;
    let plan = &victim.plan;
    let left = Contents::of(&place)?;
    left.must_stand(&victim.before, &victim.end, plan.stands).context("after the blow")?;
    if plan.stands.contains(&"bundle/") {
        // As a browser would find it.
        stage.must_run(&place, "inspect bundle").context("after the blow")?;
    }
    if let Some(said) = said {
        left.have_no_temporaries().with_context(|| format!("after the error: {said}"))?;
        if plan.restores {
            left.must_be(&victim.before).with_context(|| format!("after the error: {said}"))?;
        }
    }
    stage.must_run(&place, &plan.again).context("trying again")?;
    Contents::of(&place)?.must_be(&victim.end).context("after trying again")?;
    Ok(struck)
}
