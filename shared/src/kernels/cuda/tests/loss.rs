//! The loss and its gradient.

use candle_core::{DType, Device, Tensor};

use super::{FORMATS, Input, close, device_test, epsilon, read, reference};
use crate::kernels::cuda::loss::bce_with_logits_backward;
use crate::kernels::distillation::{Goals, distillation_backward};
use crate::kernels::grad_scaler::GradScaler;
use crate::kernels::tests::random;
use crate::kernels::{Target, WriteMode};

fn loss(device: &Device, write: WriteMode) -> Target {
    Target { tensor: Tensor::new(&[0.5f32], device).unwrap(), write }
}

device_test! {
    fn the_loss_agrees_with_the_cpu(device) {
        for n in [1, 5, 80, 1285] {
            let values: Vec<f32> = random(n, 1).iter().map(|x| 9.0 * x).collect();
            let targets: Vec<f32> = random(n, 2).iter().map(|&x| if x > 0.3 { 1.0 } else { x.max(0.0) }).collect();
            let targets_there = Tensor::from_slice(&targets, n, device).unwrap();
            for format in FORMATS {
                let logits = Input::new(&values, n, format, device);
                let cpu_targets = Tensor::from_slice(&targets, n, &Device::Cpu).unwrap();
                let (expected, gradient) = reference::cross_entropy(&logits.cpu, &cpu_targets);
                for scale in [1.0, 1024.0] {
                    let scales = Tensor::new(&[scale, 7.0, 7.0], device).unwrap();
                    let once = loss(device, WriteMode::Replace);
                    let found = bce_with_logits_backward(
                        &logits.device, &targets_there, n, &scales, &once,
                    );
                    let found = found.unwrap();
                    assert_eq!(found.dtype(), format);
                    close("loss", &once.tensor, &[expected], 1e-6);
                    let scaled: Vec<f32> =
                        gradient.iter().map(|g| g * scale as f32).collect();
                    close(&format!("{format:?}"), &found, &scaled, 1e-6 + epsilon(format));

                    // As one of four parts of a batch.
                    let added = loss(device, WriteMode::Add);
                    bce_with_logits_backward(&logits.device, &targets_there, 4 * n, &scales, &added)
                        .unwrap();
                    close("part", &added.tensor, &[0.5 + expected / 4.0], 1e-6);
                }
            }
        }
    }
}

device_test! {
    /// A teacher's answers at a temperature of 2, beside labels.
    fn the_loss_of_distillation_agrees_with_the_cpu(device) {
        let z: Vec<f32> = random(80, 1).iter().map(|x| 9.0 * x).collect();
        let labels: Vec<f32> = random(80, 2).iter().map(|&x| f32::from(x > 0.3)).collect();
        let answers: Vec<f32> = random(80, 3).iter().map(|&x| x.abs()).collect();
        let goals =
            Goals { labels: &labels, answers: &answers, weights: &[0.7; 80], temperature: 2.0 };
        for format in FORMATS {
            let logits = Input::new(&z, 80, format, device);
            let (expected, gradient) = reference::distillation(&logits.cpu, &goals);
            let scaler = GradScaler::new(1024.0, None, device).unwrap();
            let added = loss(device, WriteMode::Add);
            let found = distillation_backward(&logits.device, &goals, 80, &scaler, &added).unwrap();
            assert_eq!(found.dtype(), format);
            close("loss", &added.tensor, &[0.5 + expected], 1e-6);
            let scaled: Vec<f32> = gradient.iter().map(|g| g * 1024.0).collect();
            close(&format!("{format:?}"), &found, &scaled, 1e-6 + epsilon(format));
        }
    }
}

device_test! {
    fn the_loss_is_finite_at_huge_logits(device) {
        let logits = Tensor::new(&[200f32, -200.0, 0.0, 1e6], device).unwrap();
        let targets = Tensor::new(&[0f32, 1.0, 1.0, 1.0], device).unwrap();
        let scale = Tensor::new(&[1f64], device).unwrap();
        let found = loss(device, WriteMode::Replace);
        let gradient = bce_with_logits_backward(&logits, &targets, 4, &scale, &found).unwrap();
        close("loss", &found.tensor, &[(400.0 + std::f32::consts::LN_2) / 4.0], 1e-6);
        assert_eq!(read(&gradient), [0.25, -0.25, -0.125, 0.0]);
        let half = Tensor::new(&[0f32], device).unwrap().to_dtype(DType::F16).unwrap();
        let targets = Tensor::new(&[0f32], device).unwrap();
        let scale = Tensor::new(&[131072f64 * 2.0], device).unwrap();
        let gradient = bce_with_logits_backward(&half, &targets, 1, &scale, &found).unwrap();
        assert_eq!(read(&gradient), [f32::INFINITY], "an overflow is for the scaler to see");
    }
}
