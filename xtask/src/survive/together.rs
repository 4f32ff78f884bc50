//! Two at once: of two commands that write the same, the second is refused in words, and the first comes to its end.

use anyhow::{Context, Result, ensure};

use super::blow::{signal, wait_for_file};
use super::contents::Contents;
use super::victim::{Stage, Victim};

/// Starts the command, holds it once it writes, and starts it a second time.
///
/// # Errors
/// If the second is not refused, or the first does not come to the undisturbed end.
pub fn refused(stage: &Stage, victim: &Victim) -> Result<()> {
    let place = stage.place(&victim.origin)?;
    let plan = &victim.plan;
    let mut first = stage.command(&place, &plan.arguments).spawn()?;
    let begun = wait_for_file(&place.join(plan.begun), &mut first)?;
    ensure!(begun, "the first ended before `{}` was there", plan.begun);
    // However slow the second is, the first is not done before it.
    signal("STOP", first.id())?;
    let second = stage.command(&place, &plan.again).output();
    signal("CONT", first.id())?;
    let first = first.wait_with_output()?;
    let second = second?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(second.status.code() == Some(2), "the second ended with {}: {said}", second.status);
    ensure!(said.contains(plan.refusal) && said.contains("hint: "), "the second said: {said}");
    let said = String::from_utf8_lossy(&first.stderr);
    ensure!(first.status.success(), "the first failed: {said}");
    Contents::of(&place)?.must_be(&victim.end).context("the first of two")
}
