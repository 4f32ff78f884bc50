//! A training whose settings, data and model have been read and checked.

use super::inputs::Inputs;
use super::material::Material;
use crate::config::TrainConfig;

/// Everything that a training is made of.
pub struct TrainContext {
    pub config: TrainConfig,
    pub inputs: Inputs,
    pub material: Material,
}
