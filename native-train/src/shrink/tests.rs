//! Students of a tiny teacher, from their first weights on.

use candle_core::{DType, Device, Tensor};
use shared::autograd::{ParameterGradients, Tape};
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::random::RandomKey;
use shared::kernels::{Target, WriteMode};
use shared::model::DebertaConfig;
use shared::nn::Weights;
use shared::tokenizer::Tokenizer;

use super::{Imitation, Lesson, Model, Shape, Wishes, initial_weights};
use crate::run::tensors::Tensors;
#[cfg(feature = "cuda-emulator")]
use crate::training::{Compute, Precision, optimizer::Optimizer};
use crate::training::{MicroBatch, Objective};

const TEXTS: [&str; 4] = ["the cat sat on the mat", "a cat and a hat", "that hat!", "cats, mats"];

const ROWS: [usize; 4] = [0, 1, 2, 3];

/// Coarse, as losses are f32.
const STEP: f32 = 1.0 / 256.0;

struct Classroom {
    tokenizer: Tokenizer,
    config: DebertaConfig,
    weights: Tensors,
}

impl Classroom {
    fn new() -> Self {
        let tokenizer = Tokenizer::learn(TEXTS.iter(), 60).unwrap();
        let json = format!(
            r#"{{"model_type": "deberta-v2", "vocab_size": {}, "hidden_size": 32,
                "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48,
                "max_position_embeddings": 32, "relative_attention": true, "position_buckets": 8,
                "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
                "position_biased_input": true, "type_vocab_size": 2,
                "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}}"#,
            tokenizer.vocab_size()
        );
        let config = DebertaConfig::from_json(json.as_bytes()).unwrap();
        let tensor = |(site, (name, shape)): (u32, (String, Vec<usize>))| {
            let key = RandomKey::new(5, site);
            let norm = if name.contains("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| norm + 0.3 * (key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        };
        let weights = (0..).zip(config.backbone_shapes()).map(tensor).collect();
        Self { tokenizer, config, weights }
    }

    /// A student of this shape that keeps the pieces, with its first weights.
    fn student(&self, wishes: Wishes, keeps: impl Fn(u32) -> bool) -> Student {
        let cut = self.tokenizer.cut(keeps).unwrap();
        let lesson = Lesson::new(&TEXTS.map(str::to_owned), &self.tokenizer, &cut.tokenizer, 32);
        let shape = Shape::new(&self.config, wishes).unwrap();
        let occurrences = vec![1; self.config.vocab_size];
        let weights =
            initial_weights(&self.config, &self.weights, &shape, &cut.kept, &occurrences).unwrap();
        let mut config = shape.config.clone();
        config.vocab_size = cut.kept.len();
        Student { shape, config, weights, lesson }
    }

    /// The objective of a student with these weights.
    fn imitation<'a>(&self, student: &'a Student, weights: &Tensors) -> Imitation<'a> {
        let teacher = Model { config: &self.config, weights: Weights::new(&self.weights) };
        let model = Model { config: &student.config, weights: Weights::new(weights) };
        Imitation::new(teacher, model, &student.shape, &student.lesson, &ROWS).unwrap()
    }

    fn loss(&self, student: &Student, weights: &Tensors) -> f64 {
        let measured = self.imitation(student, weights).validate().unwrap();
        f64::from(measured.unwrap().loss)
    }

    fn first_loss(&self, wishes: Wishes) -> f64 {
        let student = self.student(wishes, |_| true);
        self.loss(&student, &student.weights)
    }
}

struct Student {
    shape: Shape,
    config: DebertaConfig,
    weights: Tensors,
    lesson: Lesson,
}

const NARROW: Wishes =
    Wishes { layers: Some(2), hidden: Some(16), embedding_size: Some(8), vocab_size: None };

#[test]
fn a_student_of_its_teachers_shape_has_nothing_to_learn() {
    let loss = Classroom::new().first_loss(Wishes::default());
    assert!(loss < 1e-9, "{loss}");
}

/// The more directions the word embeddings keep, the less there is to learn.
#[test]
fn nearly_all_directions_lose_little() {
    let of = |size| {
        let wishes = Wishes { embedding_size: Some(size), ..Wishes::default() };
        Classroom::new().first_loss(wishes)
    };
    let (nearly, far) = (of(31), of(4));
    assert!(nearly < 0.05 && far > 10.0 * nearly, "{nearly}, {far}");
}

#[test]
fn first_weights_are_those_that_the_shape_asks_for() {
    let student = Classroom::new().student(NARROW, |_| false);
    for (name, shape) in student.config.backbone_shapes() {
        assert_eq!(student.weights[&name].dims(), shape, "{name}");
    }
    assert_eq!(student.weights["projection.weight"].dims(), [32, 16]);
}

/// The loss of a step is that of a validation, and the largest gradient in each tensor is its slope. Some pieces are
/// left out, so that not all tokens are compared.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let classroom = Classroom::new();
    let student = classroom.student(NARROW, |id| id % 2 == 0);
    let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
    let of_step = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let loss = Target { tensor: of_step.clone(), write: WriteMode::Replace };
    let (tape, mut gradients) = (Tape::new(0), ParameterGradients::default());
    let micro_batch = MicroBatch { rows: &ROWS, batch_rows: &ROWS, tape, scaler: &scaler, loss };
    classroom.imitation(&student, &student.weights).backward(micro_batch, &mut gradients).unwrap();
    let (found, expected) =
        (numbers(&of_step)[0], classroom.loss(&student, &student.weights) as f32);
    assert!((found - expected).abs() < 1e-5 * expected, "{found}, expected {expected}");

    for (name, tensor) in &student.weights {
        let gradient = numbers(gradients.get(name).unwrap_or_else(|| panic!("{name}")));
        let (place, largest) = gradient
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
            .unwrap();
        let at = |step: f32| {
            let mut values = numbers(tensor);
            values[place] += step;
            let moved = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
            let mut weights = student.weights.clone();
            weights.insert(name.clone(), moved);
            classroom.loss(&student, &weights)
        };
        let slope = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
        let error = (slope - f64::from(*largest)).abs();
        assert!(error < 0.03 * slope.abs() + 1e-3, "{name}: {largest}, slope {slope}");
    }
}

/// Where the weights come stacked, as on a GPU. The last layer's projections have two gradients: of its output, and of the
/// relations.
#[cfg(feature = "cuda-emulator")]
#[test]
fn gradients_on_a_gpu_are_those_on_the_cpu() {
    use shared::kernels::cuda::emulate;

    let classroom = Classroom::new();
    let student = classroom.student(NARROW, |id| id % 2 == 0);
    let compute = Compute { device: Device::Cpu, precision: Precision::F32 };
    let gradients = || {
        let mut optimizer = Optimizer::new(&student.weights, &compute, 0.0).unwrap();
        let teacher =
            Model { config: &classroom.config, weights: Weights::new(&classroom.weights) };
        let model = Model { config: &student.config, weights: optimizer.weights() };
        let objective =
            Imitation::new(teacher, model, &student.shape, &student.lesson, &ROWS).unwrap();
        for _ in 0..2 {
            let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
            let of_step = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            let loss = Target { tensor: of_step, write: WriteMode::Replace };
            let (tape, scaler) = (Tape::new(0), &scaler);
            let micro_batch = MicroBatch { rows: &ROWS, batch_rows: &ROWS, tape, scaler, loss };
            objective.backward(micro_batch, optimizer.gradients()).unwrap();
        }
        optimizer.arena().gradients().unwrap()
    };
    let (expected, found) = (gradients(), emulate(gradients));
    for name in student.weights.keys() {
        let (found, expected) = (numbers(&found[name]), numbers(&expected[name]));
        let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        assert!(largest > 0.0, "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4 * largest, "{name}: {found}, {expected}");
        }
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
