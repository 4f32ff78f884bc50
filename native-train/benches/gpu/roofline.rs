//! The operations of a training step one by one, and the limits of the device: a copy of a large block, a large product.
//!
//! Each operation runs on what a typical batch has, as often as a tenth of a second lasts. Its bytes are those that it must read
//! and write once; its arithmetic is what the result takes, two operations for a multiplication and an addition. So
//! what is computed twice, or beside what is needed, counts against it.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use shared::kernels::add_norm::{self, ParameterTargets, Summed};
use shared::kernels::attention::{Attention, Operands, Queries};
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::optimizer::{AdamW, ParamGroup};
use shared::kernels::random::{DropoutMask, RandomKey};
use shared::kernels::{CumulativeSeqLengths, Indices, Target, WriteMode};
use shared::kernels::{elementwise, gelu, linear, rows};
use shared::model::DebertaConfig;

/// The time that a timing takes, and before it the time that is not counted.
const TIMED: Duration = Duration::from_millis(100);
const WARM_UP: Duration = Duration::from_millis(20);

/// Numbers of the block that is copied, and rows and columns of the product: a card's, and the small ones.
const BLOCK: [usize; 2] = [128 << 20, 4 << 20];
const SQUARE: [usize; 2] = [8192, 512];

/// The model, texts and device of a step.
pub struct Work<'a> {
    pub config: &'a DebertaConfig,
    pub device: &'a Device,
    /// The format of products.
    pub format: DType,
    /// Whether the limits are found by a small block and product, as a processor's and an emulated card's are.
    pub small_limits: bool,
    /// The ids of the batch's texts.
    pub texts: &'a [Vec<u32>],
    /// Distinct ids of all texts, whose embeddings are trained.
    pub ids: usize,
}

/// The timed operations.
struct Timings<'a> {
    work: &'a Work<'a>,
    operations: Vec<Value>,
}

/// Bytes and floating-point operations.
#[derive(Clone, Copy)]
struct Cost {
    bytes: usize,
    flops: usize,
}

/// Times all operations.
///
/// # Errors
/// If the device does not suffice.
pub fn measure(work: &Work<'_>) -> Result<Value> {
    let (gb_per_s, tflop_per_s) = limits(work)?;
    let mut timings = Timings { work, operations: Vec::new() };
    timings.products()?;
    timings.attention()?;
    timings.elementwise()?;
    timings.embeddings()?;
    timings.optimizer()?;
    Ok(json!({
        "gb_per_s": gb_per_s,
        "tflop_per_s": tflop_per_s,
        "tokens": timings.work.tokens(),
        "operations": timings.operations,
    }))
}

/// The device's limits: 10^9 bytes and 10^12 operations a second.
fn limits(work: &Work<'_>) -> Result<(f64, f64)> {
    let of = |sizes: [usize; 2]| sizes[usize::from(work.small_limits)];
    let (block, n) = (of(BLOCK), of(SQUARE));
    let source = Tensor::zeros(block, DType::F32, work.device)?;
    let target = source.zeros_like()?;
    let copy = time(work.device, || Ok(elementwise::copy_into(&target, &source)?))?;
    let matrix = work.random(n, n)?;
    let product = time(work.device, || {
        linear::forward(&matrix, &matrix, None, work.format)?;
        Ok(())
    })?;
    Ok(((8 * block) as f64 / copy / 1e9, 2.0 * (n as f64).powi(3) / product / 1e12))
}

/// Seconds of a call.
fn time(device: &Device, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut run = |least: Duration| -> Result<f64> {
        device.synchronize()?;
        let begin = Instant::now();
        let mut calls = 0;
        let mut at_once = 1;
        while begin.elapsed() < least {
            for _ in 0..at_once {
                call()?;
            }
            calls += at_once;
            // A card that runs behind is waited for now and then, but not after each call.
            device.synchronize()?;
            at_once = 16;
        }
        Ok(begin.elapsed().as_secs_f64() / f64::from(calls))
    };
    run(WARM_UP)?;
    run(TIMED)
}

impl Work<'_> {
    fn tokens(&self) -> usize {
        self.texts.iter().map(Vec::len).sum()
    }

    fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Bytes of a number in the format of products.
    fn size(&self) -> usize {
        self.format.size_in_bytes()
    }

    fn half(&self) -> Option<DType> {
        (self.format != DType::F32).then_some(self.format)
    }

    fn random(&self, rows: usize, columns: usize) -> Result<Tensor> {
        Ok(self.full(rows, columns)?.to_dtype(self.format)?)
    }

    fn full(&self, rows: usize, columns: usize) -> Result<Tensor> {
        let key = RandomKey::new(rows as u64, columns as u32);
        let number = |i: usize| key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0;
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        Ok(Tensor::from_vec(numbers, (rows, columns), self.device)?)
    }

    fn parameter(&self, width: usize) -> Result<Tensor> {
        Ok(self.full(1, width)?.flatten_all()?)
    }

    fn target(&self, rows: usize, columns: usize) -> Result<Target> {
        let tensor = Tensor::zeros((rows, columns), DType::F32, self.device)?;
        Ok(Target { tensor, write: WriteMode::Replace })
    }

    fn parameter_target(&self, width: usize) -> Result<Target> {
        let tensor = Tensor::zeros(width, DType::F32, self.device)?;
        Ok(Target { tensor, write: WriteMode::Replace })
    }
}

impl Timings<'_> {
    /// Times an operation that a step calls `calls` times.
    fn add(
        &mut self,
        name: &str,
        calls: usize,
        cost: Cost,
        call: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let us = time(self.work.device, call)? * 1e6;
        self.operations.push(json!({
            "name": name, "calls": calls, "us": us, "bytes": cost.bytes, "flops": cost.flops,
        }));
        Ok(())
    }

    /// The four products of a layer, each with its two gradients.
    fn products(&mut self) -> Result<()> {
        let work = self.work;
        let (h, inner) = (work.width(), work.config.intermediate_size);
        let shapes = [("qkv", h, 3 * h), ("output", h, h), ("up", h, inner), ("down", inner, h)];
        for (name, inputs, outputs) in shapes {
            let tokens = work.tokens();
            let (x, weight) = (work.random(tokens, inputs)?, work.random(outputs, inputs)?);
            let gradient = work.random(tokens, outputs)?;
            let target = work.target(outputs, inputs)?;
            let flops = 2 * tokens * inputs * outputs;
            let numbers = tokens * (inputs + outputs);
            let forward = Cost { bytes: work.size() * (numbers + inputs * outputs), flops };
            let by_weight = Cost { bytes: work.size() * numbers + 4 * inputs * outputs, flops };
            let (layers, format) = (work.config.num_hidden_layers, work.format);
            self.add(&format!("{name} product"), layers, forward, || {
                linear::forward(&x, &weight, None, format)?;
                Ok(())
            })?;
            self.add(&format!("{name} product, by input"), layers, forward, || {
                linear::backward_input(&gradient, &weight, None, format)?;
                Ok(())
            })?;
            self.add(&format!("{name} product, by weight"), layers, by_weight, || {
                Ok(linear::backward_parameters(&gradient, &x, &target, None)?)
            })?;
        }
        Ok(())
    }

    fn attention(&mut self) -> Result<()> {
        let work = self.work;
        let (h, tokens) = (work.width(), work.tokens());
        let lengths = work.texts.iter().map(Vec::len);
        let longest = lengths.clone().max().unwrap_or(1);
        let heads = work.config.num_attention_heads;
        let attention = Attention {
            cumulative_seq_lengths: CumulativeSeqLengths::new(lengths.clone()),
            heads,
            queries: Queries::All,
            scale: 1.0 / ((3 * h / heads) as f32).sqrt(),
            mask: Some(DropoutMask::new(0.1, RandomKey::new(1, 1))),
        };
        let positions = 2 * longest - 1;
        let operands = Operands {
            query: work.random(tokens, h)?,
            key: work.random(tokens, h)?,
            value: work.random(tokens, h)?,
            position_key: Some(work.random(positions, h)?),
            position_query: Some(work.random(positions, h)?),
        };
        let gradient = work.random(tokens, h)?;
        // A product of all queries and keys: content, two of positions, and the context. Backward it is three of them
        // again, and two gradients of each of the four.
        let product: usize = lengths.map(|length| 2 * length * length * h).sum();
        let operand_bytes = work.size() * h * (3 * tokens + 2 * positions);
        let rows = work.size() * h * tokens;
        let forward = Cost { bytes: operand_bytes + rows, flops: 4 * product };
        let backward = Cost { bytes: 2 * operand_bytes + 2 * rows, flops: 11 * product };
        let layers = work.config.num_hidden_layers;
        self.add("attention", layers, forward, || {
            attention.forward(&operands)?;
            Ok(())
        })?;
        let (_, saved) = attention.forward(&operands)?;
        self.add("attention, backward", layers, backward, || {
            attention.backward(&gradient, &operands, &saved)?;
            Ok(())
        })
    }

    /// Layer normalisation and GELU.
    fn elementwise(&mut self) -> Result<()> {
        let work = self.work;
        let (h, inner, tokens) = (work.width(), work.config.intermediate_size, work.tokens());
        let layers = work.config.num_hidden_layers;
        let x = work.random(tokens, h)?;
        let (gamma, bias) = (work.parameter(h)?, work.parameter(h)?);
        let residual = work.full(tokens, h)?;
        let mask = Some(DropoutMask::new(0.1, RandomKey::new(2, 2)));
        let summed = Summed::Sublayer { bias: &bias, residual: &residual, mask };
        let forward = || add_norm::forward(&x, summed, &gamma, &bias, 1e-7, work.half());
        let numbers = tokens * h;
        // x, the residual, y, its copy, and the normalised rows for the backward pass.
        let cost = Cost { bytes: numbers * (2 * work.size() + 12), flops: 10 * numbers };
        self.add("layer norm", 2 * layers, cost, || {
            forward()?;
            Ok(())
        })?;
        let output = forward()?;
        let targets = [(); 3].map(|()| work.parameter_target(h));
        let [by_gamma, by_beta, by_bias] = targets;
        let (by_gamma, by_beta, by_bias) = (by_gamma?, by_beta?, by_bias?);
        let cost = Cost { bytes: numbers * (work.size() + 12), flops: 12 * numbers };
        self.add("layer norm, backward", 2 * layers, cost, || {
            let targets =
                ParameterTargets { gamma: &by_gamma, beta: &by_beta, bias: Some(&by_bias) };
            let sublayer = Some((mask, work.format));
            add_norm::backward(&residual, &output.normalised, &gamma, sublayer, &targets)?;
            Ok(())
        })?;

        let (product, bias) = (work.random(tokens, inner)?, work.parameter(inner)?);
        let by_bias = work.parameter_target(inner)?;
        let numbers = tokens * inner;
        let cost = Cost { bytes: 2 * work.size() * numbers, flops: 20 * numbers };
        self.add("gelu", layers, cost, || {
            gelu::forward(&product, &bias)?;
            Ok(())
        })?;
        let cost = Cost { bytes: 3 * work.size() * numbers, flops: 30 * numbers };
        self.add("gelu, backward", layers, cost, || {
            gelu::backward(&product, &product, &bias, &by_bias)?;
            Ok(())
        })
    }

    fn embeddings(&mut self) -> Result<()> {
        let work = self.work;
        let (width, tokens) = (work.config.embedding_size, work.tokens());
        let table = work.full(work.ids, width)?;
        let ids = work.texts.iter().flatten().map(|&id| id % work.ids as u32);
        let ids: Indices = ids.collect::<Vec<u32>>().into();
        let cost = Cost { bytes: 8 * tokens * width, flops: 0 };
        self.add("word embeddings", 1, cost, || {
            rows::gather(&table, &ids)?;
            Ok(())
        })?;
        let picked = rows::gather(&table, &ids)?;
        let target = work.target(work.ids, width)?;
        let cost = Cost { bytes: 4 * width * (tokens + work.ids), flops: tokens * width };
        self.add("word embeddings, backward", 1, cost, || {
            Ok(rows::scatter_add(&picked, &ids, None, &target)?)
        })
    }

    /// The norm of all gradients, and AdamW.
    fn optimizer(&mut self) -> Result<()> {
        let work = self.work;
        let (h, inner) = (work.width(), work.config.intermediate_size);
        let layer = 4 * h * h + 2 * h * inner;
        let n = work.ids * work.config.embedding_size + work.config.num_hidden_layers * layer;
        let zeros = |format| Tensor::zeros(n, format, work.device);
        let group = ParamGroup {
            weights: zeros(DType::F32)?,
            half: work.half().map(zeros).transpose()?,
            gradients: zeros(DType::F32)?,
            exp_avg: zeros(DType::F32)?,
            exp_avg_sq: zeros(DType::F32)?,
        };
        let scaler = GradScaler::disabled(work.device)?;
        let norm = work.parameter_target(1)?;
        self.add("norm of the gradients", 1, Cost { bytes: 4 * n, flops: 2 * n }, || {
            Ok(scaler.unscale_and_clip(&group.gradients, 1.0, &norm)?)
        })?;
        let copy = work.half().map_or(0, |half| half.size_in_bytes());
        let cost = Cost { bytes: (7 * 4 + copy) * n, flops: 15 * n };
        let adamw = AdamW { lr: 1e-5, weight_decay: 0.01 };
        self.add("AdamW", 1, cost, || Ok(adamw.step(&group, &scaler)?))
    }
}
