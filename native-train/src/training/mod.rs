//! A training from first to last step: order of rows, forward, backward, clip, AdamW, validation,
//! checkpoint. Start reading at [`trainer`].

pub mod arena;
pub mod checkpoint;
mod context;
pub mod event_file;
mod examples;
pub mod fine_tuning;
pub mod lr_scheduler;
pub mod metrics_log;
mod objective;
pub mod optimizer;
pub mod rng;
pub mod step_results;
pub mod stop;
mod teacher;
#[cfg(test)]
mod tests;
pub mod trainer;
pub mod vocabulary;

pub use context::{
    Compute, FoldContext, Hyperparameters, Order, PhaseTimes, Precision, Subject, TrainingContext,
};
pub use examples::Examples;
pub use metrics_log::Validation;
pub use objective::{MicroBatch, Objective};
pub use teacher::Teacher;
