//! Long runs survive: the real program is killed, starved, fed with mistakes and with damaged
//! files, and has to end in the bits of a run that nothing happened to, or say what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod disk_full;
mod distil;
mod kill;
mod mistakes;
mod place;
mod resume;
mod shared_run;
mod shrink;
