//! The check of a card before it is trusted: each kernel once, on small fresh inputs, beside the CPU's.
//!
//! A kernel may be right on one card and wrong on another: matrix units, alignment, a driver's own compiler. So the
//! first use of a type of card begins with this check, which takes a fraction of a second. What differs is named.
//! [`Difference::has_plain_way`] says whether the operation can go another way on this card.

use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::attention::{Attention, Operands, Queries};
use super::cuda::{self, Operation};
use super::grad_scaler::GradScaler;
use super::linear::Bias;
use super::optimizer::{AdamW, ParamGroup};
use super::random::{DropoutMask, RandomKey};
use super::{CumulativeSeqLengths, Indices, Target, WriteMode};
use super::{add_norm, cross_entropy, elementwise, gelu, linear, rows, stack};
use crate::Result;
use crate::words::joined;

/// The formats that kernels and products have operands in.
pub const FORMATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The largest difference of a single number, and the root of the mean square of all, relative to the same of what the
/// CPU computes: for sums in another order, and for each rounding to the format.
const TOLERANCES: [(f64, f64); 2] = [(1e-4, 8.0), (1e-4, 2.0)];

/// The rows of the inputs: more than a tile and a warp have, and no multiple of either.
const ROWS: usize = 80;
/// The texts that these rows are.
const LENGTHS: [usize; 3] = [40, 7, 33];
const HEADS: usize = 2;
/// The width of all inputs, a multiple of all vectors. DeBERTa's heads have 64 columns.
const WIDTH: usize = HEADS * 64;

/// An operation that differs from the CPU's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The operation, of which one kernel or more is wrong.
    pub operation: Operation,
    /// The format of its operands.
    pub format: DType,
    /// What differs and by how much, or how it failed, with the kernels that computed it.
    pub finding: String,
    /// Whether it failed instead of computing something else: what comes after it on the card then fails as well.
    pub failed: bool,
}

impl Difference {
    /// Returns whether the operation can go the plain way, by simpler kernels that have passed.
    pub fn has_plain_way(&self) -> bool {
        !self.failed && cuda::has_plain_way(self.operation, self.format)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.operation, self.format.as_str(), self.finding)
    }
}

/// Runs every kernel with operands in these formats on `device` and compares it with the CPU's. Returns what differs.
///
/// Where an operation fails the check ends, as after an error a card may refuse all else.
///
/// # Errors
/// If the CPU's operations fail, that is, if memory does not suffice.
pub fn check(device: &Device, formats: &[DType]) -> Result<Vec<Difference>> {
    let waited = cuda::waits_for_launches();
    cuda::wait_for_launches(true); // so that an error is that of the kernel that is named
    let found = check_all(device, formats);
    cuda::wait_for_launches(waited);
    found
}

fn check_all(device: &Device, formats: &[DType]) -> Result<Vec<Difference>> {
    type Case = (Operation, fn(&Inputs<'_>) -> Result<Results>);
    let cases: [Case; 10] = [
        (Operation::Elementwise, elementwise),
        (Operation::Rows, pick_rows),
        (Operation::Linear, linear),
        (Operation::Linear, stack),
        (Operation::Gelu, gelu),
        (Operation::AddNorm, add_norm),
        (Operation::Attention, |inputs| attention(inputs, Queries::All)),
        (Operation::Attention, |inputs| attention(inputs, Queries::First)),
        (Operation::CrossEntropy, cross_entropy),
        (Operation::Optimizer, optimizer),
    ];
    let mut differences: Vec<Difference> = Vec::new();
    for (operation, case) in cases {
        for &format in formats {
            let expected = cuda::on_cpu(|| case(&Inputs { device: &Device::Cpu, format }))?;
            let (found, kernels) = cuda::launches_by_name(|| case(&Inputs { device, format }));
            let finding = match &found {
                Ok(found) => compare(found, &expected, format)?,
                Err(error) => Some(error.to_string()),
            };
            let Some(finding) = finding else { continue };
            if differences
                .iter()
                .any(|known| known.operation == operation && known.format == format)
            {
                continue;
            }
            let finding = match kernels.is_empty() {
                true => finding,
                false => format!("{finding} (kernels: {})", joined(kernels.into_keys())),
            };
            let failed = found.is_err();
            differences.push(Difference { operation, format, finding, failed });
            if failed {
                return Ok(differences);
            }
        }
    }
    Ok(differences)
}

/// What an operation computes, each with its name. A result that differs makes those after it differ.
type Results = Vec<(&'static str, Tensor)>;

/// Says which result differs first, and by how much.
fn compare(found: &Results, expected: &Results, format: DType) -> Result<Option<String>> {
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        // A result may have another format than its operands.
        let rounding = epsilon(format).max(epsilon(found.dtype()));
        let (found, expected) = (numbers(found)?, numbers(expected)?);
        let errors: Vec<f64> = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).collect();
        let largest = |values: &[f64]| values.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        let mean = |values: &[f64]| {
            (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
        };
        let by_measure = [
            largest(&errors) / largest(&expected).max(f64::MIN_POSITIVE),
            mean(&errors) / mean(&expected).max(f64::MIN_POSITIVE),
        ];
        let wrong = errors.iter().filter(|error| !error.is_finite()).count();
        if wrong > 0 {
            let all = errors.len();
            return Ok(Some(format!("{name}: {wrong} of {all} numbers are infinite or NaN")));
        }
        for (error, (sums, roundings)) in by_measure.into_iter().zip(TOLERANCES) {
            let tolerance = sums + roundings * rounding;
            if error > tolerance {
                return Ok(Some(format!(
                    "{name} is off by {error:.1e} of its size (allowed {tolerance:.1e})"
                )));
            }
        }
    }
    Ok(None)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// Half a unit in the last place, relative.
fn epsilon(format: DType) -> f64 {
    match format {
        DType::F16 => 2f64.powi(-11),
        DType::BF16 => 2f64.powi(-8),
        _ => 2f64.powi(-24),
    }
}

/// The inputs of an operation on one device.
struct Inputs<'a> {
    device: &'a Device,
    format: DType,
}

impl Inputs<'_> {
    /// Numbers from -1 to 1 in the format that is checked.
    fn random(&self, rows: usize, width: usize, seed: u64) -> Result<Tensor> {
        self.numbers(rows, width, seed, 1.0, self.format)
    }

    /// Numbers from -1 to 1 in f32, as parameters and residuals are.
    fn full(&self, rows: usize, width: usize, seed: u64) -> Result<Tensor> {
        self.numbers(rows, width, seed, 1.0, DType::F32)
    }

    fn numbers(
        &self,
        rows: usize,
        width: usize,
        seed: u64,
        scale: f32,
        format: DType,
    ) -> Result<Tensor> {
        let key = RandomKey::new(seed, 0);
        let number = |i: usize| scale * (key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0);
        let numbers: Vec<f32> = (0..rows * width).map(number).collect();
        let tensor = Tensor::from_vec(numbers, (rows, width), &Device::Cpu)?.to_dtype(format)?;
        Ok(tensor.to_device(self.device)?)
    }

    /// A parameter `[width]`.
    fn parameter(&self, width: usize, seed: u64) -> Result<Tensor> {
        Ok(self.full(1, width, seed)?.flatten_all()?)
    }

    /// A target whose values are replaced, or one to whose values a gradient is added.
    fn target(&self, rows: usize, width: usize, write: WriteMode) -> Result<Target> {
        Ok(Target { tensor: self.full(rows, width, 99)?, write })
    }

    fn parameter_target(&self, width: usize) -> Result<Target> {
        Ok(Target { tensor: self.parameter(width, 99)?, write: WriteMode::Replace })
    }

    fn half(&self) -> Option<DType> {
        (self.format != DType::F32).then_some(self.format)
    }
}

fn mask(site: u32) -> DropoutMask {
    DropoutMask::new(0.2, RandomKey::new(7, site))
}

fn elementwise(inputs: &Inputs<'_>) -> Result<Results> {
    let x = inputs.random(ROWS, WIDTH, 1)?;
    let mut results = vec![("the logistic function", elementwise::sigmoid(&x)?)];
    for format in FORMATS {
        let (y, copy) = elementwise::dropout(&x, mask(1), Some(format))?;
        let copy = copy.expect("asked for");
        let addend = inputs.numbers(ROWS, WIDTH, 2, 1.0, format)?;
        let sum = elementwise::add_assign(inputs.random(ROWS, WIDTH, 3)?, &addend)?;
        results.extend([("dropout", y), ("the copy of dropout", copy), ("the sum", sum)]);
        results.push(("the cast", elementwise::cast(&x, format)?));
    }
    Ok(results)
}

fn pick_rows(inputs: &Inputs<'_>) -> Result<Results> {
    let table = inputs.random(ROWS, WIDTH, 1)?;
    let ids: Vec<u32> = (0..50).map(|i| (i * 37 + 5) % 23).collect();
    let indices = Indices::new(ids);
    let picked = rows::gather(&table, &indices)?;
    let target = inputs.target(ROWS, WIDTH, WriteMode::Replace)?;
    rows::scatter_add(&picked, &indices, Some(3), &target)?;
    let scattered = rows::scattered(&picked, &indices, ROWS, None)?;
    Ok(vec![
        ("the rows", picked),
        ("the sum of rows", target.tensor),
        ("the sum of rows as a value", scattered),
    ])
}

fn linear(inputs: &Inputs<'_>) -> Result<Results> {
    const OUTPUTS: usize = 96;
    let (x, weight) = (inputs.random(ROWS, WIDTH, 1)?, inputs.random(OUTPUTS, WIDTH, 2)?);
    let bias = inputs.parameter(OUTPUTS, 3)?;
    let gradient = inputs.random(ROWS, OUTPUTS, 4)?;
    let half = inputs.half().map(|half| elementwise::cast(&bias, half)).transpose()?;
    let rounded = Bias { exact: &bias, half: half.as_ref() };
    let [by_weight, by_bias] =
        [inputs.target(OUTPUTS, WIDTH, WriteMode::Replace)?, inputs.parameter_target(OUTPUTS)?];
    linear::backward_parameters(&gradient, &x, &by_weight, Some(&by_bias))?;
    let sums = inputs.parameter_target(OUTPUTS)?;
    linear::column_sums(&gradient, &sums)?;
    Ok(vec![
        ("the output", linear::forward(&x, &weight, Some(rounded), inputs.format)?),
        ("the output in f32", linear::forward(&x, &weight, Some((&bias).into()), DType::F32)?),
        (
            "the gradient by the input",
            linear::backward_input(&gradient, &weight, None, inputs.format)?,
        ),
        ("the gradient by the weight", by_weight.tensor),
        ("the gradient by the bias", by_bias.tensor),
        ("the sums of columns", sums.tensor),
    ])
}

/// Linear maps of several layers at once.
fn stack(inputs: &Inputs<'_>) -> Result<Results> {
    const LAYERS: usize = 3;
    const OUTPUTS: usize = 64;
    let x = inputs.full(ROWS, WIDTH, 1)?;
    let masks = [4, 5, 6].map(|site| Some(mask(site)));
    let weight = inputs.random(LAYERS * OUTPUTS, WIDTH, 2)?.reshape((LAYERS, OUTPUTS, WIDTH))?;
    let bias = inputs.full(LAYERS, OUTPUTS, 3)?;
    let (y, saved) = stack::forward(&x, &masks, &weight, &bias)?;
    let gradient = inputs.random(ROWS, LAYERS * OUTPUTS, 4)?;
    let mut by_weight = inputs.target(LAYERS * OUTPUTS, WIDTH, WriteMode::Replace)?;
    by_weight.tensor = by_weight.tensor.reshape(weight.shape())?;
    let by_bias = inputs.target(LAYERS, OUTPUTS, WriteMode::Replace)?;
    let by_x = stack::backward(&gradient, &saved, &weight, &by_weight, &by_bias)?;
    Ok(vec![
        ("the outputs of the layers", y),
        ("the gradient by the layers' input", by_x),
        ("the gradient by the layers' weights", by_weight.tensor),
        ("the gradient by the layers' biases", by_bias.tensor),
    ])
}

fn gelu(inputs: &Inputs<'_>) -> Result<Results> {
    let product = inputs.numbers(ROWS, WIDTH, 1, 3.0, inputs.format)?;
    let bias = inputs.parameter(WIDTH, 2)?;
    let by_bias = inputs.parameter_target(WIDTH)?;
    let gradient = inputs.random(ROWS, WIDTH, 3)?;
    let y = gelu::forward(&product, &bias)?;
    let by_product = gelu::backward(&gradient, &product, &bias, &by_bias)?;
    Ok(vec![
        ("the output", y),
        ("the gradient by the input", by_product),
        ("the gradient by the bias", by_bias.tensor),
    ])
}

fn add_norm(inputs: &Inputs<'_>) -> Result<Results> {
    const EPS: f64 = 1e-7;
    let x = inputs.random(ROWS, WIDTH, 1)?;
    let [gamma, beta, bias] = [2, 3, 4].map(|seed| inputs.parameter(WIDTH, seed));
    let (gamma, beta, bias) = (gamma?, beta?, bias?);
    let residual = inputs.full(ROWS, WIDTH, 5)?;
    let mask = Some(mask(2));
    let summed = add_norm::Summed::Sublayer { bias: &bias, residual: &residual, mask };
    let mut results = Vec::new();
    for format in FORMATS {
        let output = add_norm::forward(&x, summed, &gamma, &beta, EPS, Some(format))?;
        results.push(("the output", output.y));
        results.push(("the copy of the output", output.half.expect("asked for")));
    }
    let output = add_norm::forward(&x, summed, &gamma, &beta, EPS, inputs.half())?;
    let targets = [(); 3].map(|()| inputs.parameter_target(WIDTH));
    let [by_gamma, by_beta, by_bias] = targets;
    let (by_gamma, by_beta, by_bias) = (by_gamma?, by_beta?, by_bias?);
    let targets =
        add_norm::ParameterTargets { gamma: &by_gamma, beta: &by_beta, bias: Some(&by_bias) };
    let gradient = inputs.full(ROWS, WIDTH, 6)?;
    let sublayer = Some((mask, inputs.format));
    let by = add_norm::backward(&gradient, &output.normalised, &gamma, sublayer, &targets)?;
    results.extend([
        ("the gradient by the residual", by.sum),
        ("the gradient by the input", by.x.expect("of a sublayer")),
        ("the gradient by the factor", by_gamma.tensor),
        ("the gradient by the summand", by_beta.tensor),
        ("the gradient by the bias", by_bias.tensor),
    ]);
    Ok(results)
}

fn attention(inputs: &Inputs<'_>, queries: Queries) -> Result<Results> {
    let attention = Attention {
        cumulative_seq_lengths: CumulativeSeqLengths::new(LENGTHS),
        heads: HEADS,
        queries,
        scale: 1.0 / ((3 * WIDTH / HEADS) as f32).sqrt(),
        mask: Some(mask(3)),
    };
    let query_rows = if queries == Queries::All { ROWS } else { LENGTHS.len() };
    let positions = 2 * LENGTHS.iter().max().expect("there are texts") - 1;
    // Scores with a standard deviation near 2, so that softmax is no mean.
    let operand = |rows, seed| inputs.numbers(rows, WIDTH, seed, 2.5, inputs.format);
    let operands = Operands {
        query: operand(query_rows, 1)?,
        key: operand(ROWS, 2)?,
        value: operand(ROWS, 3)?,
        position_key: Some(operand(positions, 4)?),
        position_query: Some(operand(positions, 5)?),
    };
    let (context, saved) = attention.forward(&operands)?;
    let gradient = inputs.random(query_rows, WIDTH, 6)?;
    let by = attention.backward(&gradient, &operands, &saved)?;
    Ok(vec![
        ("the context", context),
        ("the gradient by the queries", by.query),
        ("the gradient by the keys", by.key),
        ("the gradient by the values", by.value),
        ("the gradient by the position keys", by.position_key.expect("there are such")),
        ("the gradient by the position queries", by.position_query.expect("there are such")),
    ])
}

fn cross_entropy(inputs: &Inputs<'_>) -> Result<Results> {
    const LABELS: usize = 5;
    let logits = inputs.numbers(16, LABELS, 1, 3.0, inputs.format)?;
    let labels: Vec<f32> = (0..16 * LABELS).map(|i| f32::from(i % 3 == 0)).collect();
    let targets = Tensor::from_vec(labels, (16, LABELS), inputs.device)?;
    let scaler = GradScaler::disabled(inputs.device)?;
    let loss = inputs.parameter_target(1)?;
    let elements = 16 * LABELS;
    let gradient =
        cross_entropy::bce_with_logits_backward(&logits, &targets, elements, &scaler, &loss)?;
    Ok(vec![("the loss", loss.tensor), ("the gradient by the logits", gradient)])
}

fn optimizer(inputs: &Inputs<'_>) -> Result<Results> {
    let n = ROWS * WIDTH;
    let weights = inputs.parameter(n, 1)?;
    let half = inputs.half().map(|half| elementwise::cast(&weights, half)).transpose()?;
    let zeros = || Tensor::zeros(n, DType::F32, inputs.device);
    let gradients = inputs.parameter(n, 2)?;
    let group = ParamGroup { weights, half, gradients, exp_avg: zeros()?, exp_avg_sq: zeros()? };
    let scaler = GradScaler::dynamic(inputs.device)?;
    let norm = inputs.parameter_target(1)?;
    scaler.unscale_and_clip(&group.gradients, 1e-4, &norm)?;
    AdamW { lr: 1e-2, weight_decay: 0.1 }.step(&group, &scaler)?;
    let mut results = vec![
        ("the norm", norm.tensor),
        ("the running mean", group.exp_avg),
        ("the running mean square", group.exp_avg_sq),
        ("the weights", group.weights),
    ];
    results.extend(group.half.map(|half| ("the copy of the weights", half)));
    Ok(results)
}

#[cfg(feature = "cuda-emulator")]
#[cfg(test)]
mod tests;
