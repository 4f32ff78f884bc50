//! Every operation, forward and backward, against the CPU's on random inputs: emulated, or with the
//! feature `cuda` on a real card (`cargo test --features cuda -- --ignored cuda`).
//!
//! **Tolerances** are relative to the largest expected magnitude. In f32 both sides round each
//! operation and differ in the order of sums. In half precision the inputs are rounded to the format
//! first and the reference is computed in f32 from the rounded ones, so that what is left is the
//! rounding of the output (half a unit in the last place: `epsilon`) and of what an operation itself
//! holds in half precision on the way.

mod add_norm;
mod attention;
mod elementwise;
mod gelu;
mod linear;
mod loss;
mod optimizer;
mod reference;
mod rows;
mod self_check;
mod stack;

use candle_core::{DType, Device, Shape, Tensor};

use crate::kernels::tests::random;
use crate::kernels::{Target, WriteMode};

const FORMATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// A test whose body gets the device under test, and runs emulated unless that is a card.
macro_rules! device_test {
    ($(#[$documentation:meta])* fn $name:ident($device:ident) $body:block) => {
        $(#[$documentation])*
        #[test]
        #[cfg_attr(feature = "cuda", ignore = "needs CUDA")]
        fn $name() {
            super::on_device(|$device| $body);
        }
    };
}
use device_test;

fn on_device(body: impl FnOnce(&Device)) {
    #[cfg(feature = "cuda")]
    body(&Device::new_cuda(0).expect("a CUDA device"));
    #[cfg(not(feature = "cuda"))]
    super::emulate(|| body(&Device::Cpu));
}

/// Runs the CPU's own functions, for comparison.
fn natively<T>(body: impl FnOnce() -> T) -> T {
    #[cfg(feature = "cuda-emulator")]
    return super::emulator::natively(body);
    #[cfg(not(feature = "cuda-emulator"))]
    body()
}

/// One operand: on the device in its format, and the same values in f32 on the CPU.
struct Input {
    device: Tensor,
    cpu: Tensor,
}

impl Input {
    fn new(values: &[f32], shape: impl Into<Shape>, format: DType, device: &Device) -> Self {
        let rounded = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let rounded = rounded.to_dtype(format).unwrap();
        let cpu = rounded.to_dtype(DType::F32).unwrap();
        Self { device: rounded.to_device(device).unwrap(), cpu }
    }

    fn random(shape: impl Into<Shape>, seed: u64, format: DType, device: &Device) -> Self {
        let shape = shape.into();
        Self::new(&random(shape.elem_count(), seed), shape, format, device)
    }
}

/// A target with something in it, and what a gradient makes of that.
struct TargetCheck {
    target: Target,
    before: Vec<f32>,
}

impl TargetCheck {
    fn new(shape: impl Into<Shape>, write: WriteMode, seed: u64, device: &Device) -> Self {
        let shape = shape.into();
        let before = random(shape.elem_count(), seed);
        let tensor = Tensor::from_slice(&before, shape, &Device::Cpu).unwrap();
        let tensor = tensor.to_device(device).unwrap();
        Self { target: Target { tensor, write }, before }
    }

    #[track_caller]
    fn check(&self, what: &str, gradient: &[f32], tolerance: f32) {
        let expected: Vec<f32> = match self.target.write {
            WriteMode::Replace => gradient.to_vec(),
            WriteMode::Add => self.before.iter().zip(gradient).map(|(b, g)| b + g).collect(),
        };
        close(what, &self.target.tensor, &expected, tolerance);
    }
}

/// The values of a tensor wherever it is, in f32.
fn read(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Each element within `tolerance` of the largest expected magnitude; says how near it came.
#[track_caller]
fn close(what: &str, found: &Tensor, expected: &[f32], tolerance: f32) {
    let found = read(found);
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6, |max: f32, x| max.max(x.abs()));
    let mut worst = 0f32;
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / scale;
        assert!(error <= tolerance, "{what}, element {i}: {f}, expected {e} within {tolerance}");
        worst = worst.max(error);
    }
    println!("{what}: {worst:.1e} of {tolerance:.1e}");
}

#[track_caller]
fn same_bits(what: &str, one: &Tensor, other: &Tensor) {
    let bits = |tensor| read(tensor).iter().map(|x: &f32| x.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(one), bits(other), "{what}");
}

/// Half a unit in the last place, relative.
fn epsilon(format: DType) -> f32 {
    match format {
        DType::F16 => 2f32.powi(-11),
        DType::BF16 => 2f32.powi(-8),
        _ => 2f32.powi(-24),
    }
}
