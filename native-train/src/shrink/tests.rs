//! Students of a tiny teacher, from their first weights on.

use candle_core::{Device, Tensor};
use shared::autograd::{ParameterGradients, Tape};
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::random::RandomKey;
use shared::kernels::{Target, WriteMode};
use shared::model::DebertaConfig;
use shared::nn::Weights;
use shared::tokenizer::Tokenizer;

use super::{Imitation, Lesson, Model, Shape, Wishes, initial_weights};
use crate::run::tensors::Tensors;
use crate::training::{MicroBatch, Objective};

const TEXTS: [&str; 4] = ["the cat sat on the mat", "a cat and a hat", "that hat!", "cats, mats"];

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
                "position_biased_input": true, "type_vocab_size": 2}}"#,
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

    /// Calls `then` with a student of this shape that keeps the pieces, and with its config and first weights.
    fn student<R>(
        &self,
        wishes: Wishes,
        keeps: impl Fn(u32) -> bool,
        then: impl FnOnce(&Imitation<'_>, &DebertaConfig, &Tensors) -> R,
    ) -> R {
        let cut = self.tokenizer.cut(keeps).unwrap();
        let lesson = Lesson::new(&TEXTS.map(str::to_owned), &self.tokenizer, &cut.tokenizer, 32);
        let shape = Shape::new(&self.config, wishes).unwrap();
        let occurrences = vec![1; self.config.vocab_size];
        let weights =
            initial_weights(&self.config, &self.weights, &shape, &cut.kept, &occurrences).unwrap();
        let mut config = shape.config.clone();
        config.vocab_size = cut.kept.len();
        let teacher = Model { config: &self.config, weights: Weights::new(&self.weights) };
        let student = Model { config: &config, weights: Weights::new(&weights) };
        let imitation = Imitation::new(teacher, student, &shape, &lesson, &[0, 1, 2, 3]).unwrap();
        then(&imitation, &config, &weights)
    }
}

fn loss(imitation: &Imitation<'_>) -> f32 {
    imitation.validate().unwrap().unwrap().loss
}

#[test]
fn a_student_of_its_teachers_shape_has_nothing_to_learn() {
    let whole =
        Classroom::new().student(Wishes::default(), |_| true, |student, _, _| loss(student));
    assert!(whole < 1e-9, "{whole}");
}

/// Factors of full rank, and pieces that the texts do not have: another form of the same model.
#[test]
fn factors_of_full_rank_lose_nothing() {
    let wishes = Wishes { embedding_size: Some(31), ..Wishes::default() };
    let nearly = Classroom::new().student(
        wishes,
        |_| true,
        |student, config, weights| {
            assert_eq!(config.embedding_size, 31);
            assert_eq!(weights["deberta.embeddings.embed_proj.weight"].dims(), [32, 31]);
            loss(student)
        },
    );
    let wishes = Wishes { embedding_size: Some(4), ..Wishes::default() };
    let far = Classroom::new().student(wishes, |_| true, |student, _, _| loss(student));
    assert!(nearly < 0.05 && far > 10.0 * nearly, "{nearly}, {far}");
}

#[test]
fn first_weights_are_those_that_the_shape_asks_for() {
    let wishes =
        Wishes { layers: Some(2), hidden: Some(16), embedding_size: Some(8), vocab_size: None };
    Classroom::new().student(
        wishes,
        |_| false,
        |student, config, weights| {
            for (name, shape) in config.backbone_shapes() {
                assert_eq!(weights[&name].dims(), shape, "{name}");
            }
            assert_eq!(weights["projection.weight"].dims(), [32, 16]);
            assert!(loss(student).is_finite());
        },
    );
}

/// The gradient of the whole loss by some weights of every kind, beside the slope of the loss.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let wishes =
        Wishes { layers: Some(2), hidden: Some(16), embedding_size: Some(8), vocab_size: None };
    let rows = [0, 1, 2, 3];
    Classroom::new().student(
        wishes,
        |id| id % 2 == 0,
        |imitation, _, weights| {
            let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
            let tensor = Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap();
            let total = Target { tensor, write: WriteMode::Replace };
            let found = total.tensor.clone();
            let mut gradients = ParameterGradients::default();
            let tape = Tape::new(0);
            let micro_batch =
                MicroBatch { rows: &rows, batch_rows: &rows, tape, scaler: &scaler, loss: total };
            imitation.backward(micro_batch, &mut gradients).unwrap();
            let of_step = found.to_vec1::<f32>().unwrap()[0];
            // Dropout is on in a step: the tiny config's is 0.1.
            assert!((of_step / loss(imitation) - 1.0).abs() < 0.5, "{of_step}");
            for (name, tensor) in weights {
                let reached = gradients.get(name).is_some();
                // Nothing reads the output of the last token type, nor positions beyond the texts.
                assert!(reached, "{name} {:?} has no gradient", tensor.dims());
            }
        },
    );
}
