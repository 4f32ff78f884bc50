use proptest::prelude::*;

use super::super::tests::{assert_close, random};
use super::*;
use crate::kernels::scalar::gelu;

/// The product of the layer's integers and the quantized activations, in i64 and f64, element by element.
fn reference(layer: &PackedLinear, rows: &[Vec<i64>], x: &[f32], bias: &[f32]) -> Vec<f32> {
    let [outputs, inputs] = layer.shape();
    let largest = f64::from(layer.activation_qmax());
    let mut output = Vec::new();
    for x in x.chunks(inputs) {
        let magnitude = x.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        let inverse = if magnitude > 0.0 { largest as f32 / magnitude } else { 0.0 };
        let quantised: Vec<i64> =
            x.iter().map(|x| (x * inverse).round_ties_even() as i64).collect();
        for o in 0..outputs {
            let sum: i64 = quantised.iter().zip(&rows[o]).map(|(x, w)| x * w).sum();
            assert!(i32::try_from(sum).is_ok(), "a sum left i32");
            let scale = f64::from(magnitude) / largest * f64::from(layer.scales[o]);
            output.push((sum as f64 * scale + f64::from(bias[o])) as f32);
        }
    }
    output
}

fn numbers(n: usize, seed: u64) -> Vec<i8> {
    random(n, seed).iter().map(|x| (x * 127.9) as i8).collect()
}

fn wide(rows: &[i8], inputs: usize) -> Vec<Vec<i64>> {
    rows.chunks(inputs).map(|row| row.iter().map(|&w| i64::from(w)).collect()).collect()
}

fn product(layer: &PackedLinear, x: &[f32], bias: &[f32], isa: Isa) -> Vec<f32> {
    let epilogue =
        Epilogue { scales: &layer.scales, bias: Some(bias), activation: Activation::Identity };
    layer.product(x, &epilogue, isa)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn int8_is_exact_whatever_the_shape_and_the_instruction_set(
        // From some on, weights are widened block by block.
        rows in prop_oneof![1_usize..11, ROWS_TO_WIDEN - 1..ROWS_TO_WIDEN + 6],
        inputs in 1_usize..70,
        // More than one block of a panel.
        many in prop::bool::weighted(0.2),
        outputs in 1_usize..40,
        seed: u64,
    ) {
        let inputs = if many { 600 + inputs } else { inputs };
        let weights = numbers(outputs * inputs, seed);
        let scales: Vec<f32> = random(outputs, seed ^ 1).iter().map(|s| s.abs() + 0.1).collect();
        let (x, bias) = (random(rows * inputs, seed ^ 2), random(outputs, seed ^ 3));
        let layer = PackedLinear::int8(&weights, scales);
        let expected = reference(&layer, &wide(&weights, inputs), &x, &bias);
        let portable = product(&layer, &x, &bias, Isa::Portable);
        assert_close(&portable, &expected, 1e-6);
        for isa in Isa::available() {
            prop_assert_eq!(&product(&layer, &x, &bias, isa), &portable, "{:?}", isa);
        }
    }

    #[test]
    fn int16_is_exact_but_for_rows_too_heavy_for_i32(
        rows in 1_usize..8,
        inputs in 1_usize..900,
        outputs in 1_usize..20,
        largest in prop::sample::select(vec![30.0_f32, 2047.0, 32767.0]),
        seed: u64,
    ) {
        let weights: Vec<i16> =
            random(outputs * inputs, seed).iter().map(|x| (x * largest) as i16).collect();
        let scales = vec![0.5; outputs];
        let (x, bias) = (random(rows * inputs, seed ^ 2), random(outputs, seed ^ 3));
        let layer = PackedLinear::int16(weights.clone(), scales.clone());
        prop_assert!(layer.activation_qmax() >= LEAST_QMAX);
        let mut expected_scales = scales.clone();
        let coarser: Vec<Vec<i64>> = weights
            .chunks(inputs)
            .zip(&mut expected_scales)
            .map(|(row, scale)| {
                let sum: u32 = row.iter().map(|w| u32::from(w.unsigned_abs())).sum();
                let factor = (room(inputs) / f64::from(sum)).min(1.0);
                *scale /= factor as f32;
                row.iter().map(|&w| (f64::from(w) * factor).round_ties_even() as i64).collect()
            })
            .collect();
        prop_assert_eq!(&layer.scales, &expected_scales);
        if largest < 31.0 || inputs < 200 && largest < 2048.0 {
            prop_assert_eq!(&layer.scales, &scales);
        }
        let portable = product(&layer, &x, &bias, Isa::Portable);
        assert_close(&portable, &reference(&layer, &coarser, &x, &bias), 1e-6);
        for isa in Isa::available() {
            prop_assert_eq!(&product(&layer, &x, &bias, isa), &portable, "{:?}", isa);
        }
    }

    #[test]
    fn f32_rows_become_numbers_whose_sums_fit(
        rows in 1_usize..6,
        inputs in 1_usize..900,
        outputs in 1_usize..20,
        seed: u64,
    ) {
        let weights = random(outputs * inputs, seed);
        let x = random(rows * inputs, seed ^ 1);
        let bias = vec![0.0; outputs];
        let layer = PackedLinear::requantized(&weights, inputs);
        let whole: Vec<Vec<i64>> = weights
            .chunks(inputs)
            .zip(&layer.scales)
            .map(|(row, scale)| {
                row.iter().map(|w| (w * scale.recip()).round() as i64).collect()
            })
            .collect();
        let portable = product(&layer, &x, &bias, Isa::Portable);
        assert_close(&portable, &reference(&layer, &whole, &x, &bias), 1e-6);
        for isa in Isa::available() {
            prop_assert_eq!(&product(&layer, &x, &bias, isa), &portable, "{:?}", isa);
        }
        // For 900 weights spread evenly, a step is 1 / 1160 of the largest; half of one is the largest error of each.
        let exact = product(&PackedLinear::f32(&weights, inputs), &x, &bias, Isa::Portable);
        let error = portable.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        prop_assert!(error <= 2e-3 * (inputs as f32).sqrt(), "{}", error);
    }

    #[test]
    fn f32_is_the_product(
        // From some on, there are several chunks of rows.
        rows in prop_oneof![1_usize..14, 110_usize..130],
        inputs in 1_usize..700,
        outputs in 1_usize..40,
        seed: u64,
    ) {
        let weights = random(outputs * inputs, seed);
        let (x, bias) = (random(rows * inputs, seed ^ 1), random(outputs, seed ^ 2));
        let layer = PackedLinear::f32(&weights, inputs);
        let mut expected = Vec::new();
        for x in x.chunks(inputs) {
            for (row, bias) in weights.chunks(inputs).zip(&bias) {
                let sum: f64 = x.iter().zip(row).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                expected.push((sum + f64::from(*bias)) as f32);
            }
        }
        let portable = product(&layer, &x, &bias, Isa::Portable);
        assert_close(&portable, &expected, 1e-5);
        for isa in Isa::available() {
            let found = product(&layer, &x, &bias, isa);
            assert_close(&found, &expected, 1e-5);
            // A row alone has the bits that it has among others.
            for (x, found) in x.chunks(inputs).zip(found.chunks(outputs)) {
                prop_assert_eq!(&product(&layer, x, &bias, isa)[..], found, "{:?}", isa);
            }
        }
    }
}

/// The largest sums that there can be: all weights and all activations at their largest.
#[test]
fn the_worst_row_stays_within_i32() {
    let inputs = 3072;
    let layer = PackedLinear::int8(&vec![-127; 2 * inputs], vec![1.0; 2]);
    assert_eq!(layer.activation_qmax(), 5504);
    let x = vec![2.0; inputs];
    for isa in Isa::available() {
        let found = product(&layer, &x, &[0.0, 1.0], isa);
        assert_close(&found, &[-127.0 * 6144.0, 1.0 - 127.0 * 6144.0], 1e-6);
    }
    // And a layer of few inputs is bounded by i16.
    assert_eq!(PackedLinear::int8(&[1, 2, 3], vec![1.0]).activation_qmax(), i16::MAX);
}

#[test]
fn gelu_follows_the_bias() {
    let (inputs, outputs) = (24, 19);
    let layer = PackedLinear::int8(&numbers(outputs * inputs, 1), vec![0.01; outputs]);
    let x = tensor(random(5 * inputs, 2), (5, inputs)).unwrap();
    let bias = tensor(random(outputs, 3), outputs).unwrap();
    let plain = layer.forward(&x, Some(&bias), Activation::Identity).unwrap();
    let both = layer.forward(&x, Some(&bias), Activation::Gelu).unwrap();
    let expected: Vec<f32> = values(&plain).unwrap().iter().map(|&z| gelu(z)).collect();
    assert_eq!(values(&both).unwrap().to_vec(), expected);
    let zero = tensor(vec![0.0; outputs], outputs).unwrap();
    assert_eq!(
        values(&layer.forward(&x, None, Activation::Identity).unwrap()).unwrap().to_vec(),
        values(&layer.forward(&x, Some(&zero), Activation::Identity).unwrap()).unwrap().to_vec(),
    );
}

#[test]
fn rows_that_have_no_scale() {
    let layer = PackedLinear::int8(&[3, -4], vec![0.5]);
    for isa in Isa::available() {
        let tiny = f32::MIN_POSITIVE / 4.0;
        let x = [0.0, 0.0, f32::NAN, 1.0, 1.0, f32::INFINITY, tiny, tiny, 2.0, 1.0];
        let found = product(&layer, &x, &[0.25], isa);
        assert_eq!(found[0], 0.25);
        assert!(found[1].is_nan() && found[2].is_nan(), "what is not finite stays visible");
        assert_eq!(found[3], 0.25);
        assert!((found[4] - 1.25).abs() < 1e-4);
    }
}
