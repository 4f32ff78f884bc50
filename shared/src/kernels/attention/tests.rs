use super::*;
use crate::kernels::random::{DropoutMask, RandomKey};
use crate::kernels::tests::{assert_close, assert_gradient, random, weighted_sum};
use crate::kernels::{CumulativeSeqLengths, tensor};

const HEADS: usize = 2;
const SIZE: usize = 5;
const WIDTH: usize = HEADS * SIZE;
const LENGTHS: [usize; 4] = [3, 1, 7, 2];
const LONGEST: usize = 7;

fn attention(queries: Queries, mask: Option<DropoutMask>) -> Attention {
    let cumulative_seq_lengths = CumulativeSeqLengths::new(LENGTHS);
    Attention { cumulative_seq_lengths, heads: HEADS, queries, scale: 0.4, mask }
}

fn operands(queries: Queries) -> Operands<Vec<f32>> {
    let tokens: usize = LENGTHS.iter().sum();
    let query_rows = if queries == Queries::All { tokens } else { LENGTHS.len() };
    Operands {
        query: random(query_rows * WIDTH, 1),
        key: random(tokens * WIDTH, 2),
        value: random(tokens * WIDTH, 3),
        position_key: Some(random((2 * LONGEST - 1) * WIDTH, 4)),
        position_query: Some(random((2 * LONGEST - 1) * WIDTH, 5)),
    }
}

fn run(attention: &Attention, operands: &Operands<Vec<f32>>) -> (Tensor, Saved) {
    attention.forward(&tensors(operands)).unwrap()
}

fn tensors(operands: &Operands<Vec<f32>>) -> Operands<Tensor> {
    operands.map(|x| tensor(x.clone(), (x.len() / WIDTH, WIDTH))).unwrap()
}

/// The formula of the module's documentation, in f64, one element at a time.
fn reference(attention: &Attention, x: &Operands<Vec<f32>>) -> Vec<f32> {
    let dot = |a: &[f32], i: usize, b: &[f32], j: usize, head: usize| -> f64 {
        let at = |m: &[f32], row, c| f64::from(m[row * WIDTH + head * SIZE + c]);
        (0..SIZE).map(|c| at(a, i, c) * at(b, j, c)).sum()
    };
    let mut context = vec![0.0; x.query.len()];
    let mut element = 0;
    for (t, text) in attention.cumulative_seq_lengths.windows(2).enumerate() {
        let keys = text[1] - text[0];
        let queries = if attention.queries == Queries::All { keys } else { 1 };
        let first = if attention.queries == Queries::All { text[0] } else { t };
        for head in 0..HEADS {
            for i in 0..queries {
                let scores = (0..keys).map(|j| {
                    let (q, k, position) = (first + i, text[0] + j, LONGEST - 1 + j - i);
                    let mut score = dot(&x.query, q, &x.key, k, head);
                    if let Some(table) = &x.position_key {
                        score += dot(&x.query, q, table, position, head);
                    }
                    if let Some(table) = &x.position_query {
                        score += dot(&x.key, k, table, position, head);
                    }
                    (score * f64::from(attention.scale)).exp()
                });
                let scores: Vec<f64> = scores.collect();
                let sum: f64 = scores.iter().sum();
                for (j, score) in scores.iter().enumerate() {
                    let factor = attention.mask.map_or(1.0, |mask| mask.factor(element));
                    let weight = score / sum * f64::from(factor);
                    element += 1;
                    for c in head * SIZE..(head + 1) * SIZE {
                        let value = f64::from(x.value[(text[0] + j) * WIDTH + c]);
                        context[(first + i) * WIDTH + c] += (weight * value) as f32;
                    }
                }
            }
        }
    }
    context
}

#[test]
fn agrees_with_the_formula_whatever_the_terms() {
    let mask = DropoutMask::new(0.3, RandomKey::new(1, 1));
    for queries in [Queries::All, Queries::First] {
        for mask in [None, Some(mask)] {
            for (with_key, with_query) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let attention = attention(queries, mask);
                let mut x = operands(queries);
                x.position_key = x.position_key.filter(|_| with_key);
                x.position_query = x.position_query.filter(|_| with_query);
                let (context, _) = run(&attention, &x);
                assert_close(&values(&context).unwrap(), &reference(&attention, &x), 1e-6);
            }
        }
    }
}

/// Rows of a table that has one a distance, the largest first, as [`PositionTables`] takes them.
fn reversed(rows: &[f32]) -> Tensor {
    let values = rows.chunks(WIDTH).rev().flatten().copied().collect();
    tensor(values, (rows.len() / WIDTH, WIDTH)).unwrap()
}

#[test]
fn inference_agrees_with_the_formula_whatever_the_terms() {
    // A row a distance, and rows that distances share or leave out.
    let dense: Vec<u32> = (0..2 * LONGEST as u32 - 1).collect();
    let shared = vec![0, 0, 2, 3, 4, 4, 5, 6, 7, 9, 9, 9, 10];
    for (queries, places) in [Queries::All, Queries::First]
        .into_iter()
        .flat_map(|queries| [&dense, &shared].map(|places| (queries, places)))
    {
        for (with_key, with_query) in [(true, true), (true, false), (false, true), (false, false)] {
            let attention = attention(queries, None);
            let mut x = operands(queries);
            let key = x.position_key.take().filter(|_| with_key);
            let query = x.position_query.take().filter(|_| with_query);
            let tables = [&key, &query].map(|table| table.as_ref().map(|rows| reversed(rows)));
            let expand = |rows: Vec<f32>| {
                let row = |&place: &u32| rows[place as usize * WIDTH..][..WIDTH].to_vec();
                places.iter().flat_map(row).collect::<Vec<f32>>()
            };
            (x.position_key, x.position_query) = (key.map(expand), query.map(expand));
            let expected = reference(&attention, &x);
            let x = tensors(&x);
            // Whole numbers are within 1 / 2^14 of a row's largest.
            for (is_integer, tolerance) in [(false, 1e-6), (true, 3e-4)] {
                let [key, query] = [tables[0].as_ref(), tables[1].as_ref()];
                let tables = PositionTables::new(key, query, HEADS, is_integer).unwrap();
                let context = attention.context(&x.query, &x.key, &x.value, &tables, places);
                assert_close(&values(&context.unwrap()).unwrap(), &expected, tolerance);
            }
        }
    }
}

#[test]
fn gradients_are_the_slopes() {
    let mask = Some(DropoutMask::new(0.3, RandomKey::new(1, 1)));
    for queries in [Queries::All, Queries::First] {
        let attention = attention(queries, mask);
        let x = operands(queries);
        let (context, probabilities) = run(&attention, &x);
        let weights = random(x.query.len(), 9);
        let gradient = tensor(weights.clone(), context.shape()).unwrap();
        let found = attention.backward(&gradient, &tensors(&x), &probabilities).unwrap();
        let loss = |x: &Operands<Vec<f32>>| {
            weighted_sum(&values(&run(&attention, x).0).unwrap(), &weights)
        };
        let at = |t: &Tensor| values(t).unwrap().to_vec();
        let with = |set: &dyn Fn(&mut Operands<Vec<f32>>)| {
            let mut changed = x.clone();
            set(&mut changed);
            loss(&changed)
        };
        assert_gradient(&x.query, &at(&found.query), |q| with(&|x| x.query = q.to_vec()));
        assert_gradient(&x.key, &at(&found.key), |k| with(&|x| x.key = k.to_vec()));
        assert_gradient(&x.value, &at(&found.value), |v| with(&|x| x.value = v.to_vec()));
        assert_gradient(
            x.position_key.as_ref().unwrap(),
            &at(found.position_key.as_ref().unwrap()),
            |p| with(&|x| x.position_key = Some(p.to_vec())),
        );
        assert_gradient(
            x.position_query.as_ref().unwrap(),
            &at(found.position_query.as_ref().unwrap()),
            |p| with(&|x| x.position_query = Some(p.to_vec())),
        );
    }
}

#[test]
fn blocks_of_larger_matrices_give_the_same_bits() {
    let beside = |blocks: &[&Tensor]| Tensor::cat(blocks, 1).unwrap().contiguous().unwrap();
    for queries in [Queries::All, Queries::First] {
        let attention = attention(queries, Some(DropoutMask::new(0.3, RandomKey::new(1, 1))));
        let x = tensors(&operands(queries));
        let stack = |x: &Operands<Tensor>, other: &Tensor| Stacked {
            rows: match queries {
                Queries::All => vec![beside(&[&x.query, &x.key, &x.value])],
                Queries::First => vec![x.query.clone(), beside(&[&x.key, &x.value])],
            },
            positions: beside(&[
                other,
                other,
                x.position_query.as_ref().unwrap(),
                x.position_key.as_ref().unwrap(),
            ]),
            layer: 1,
        };
        let (context, saved) = attention.forward(&x).unwrap();
        let other = x.position_key.as_ref().unwrap();
        let stacked = stack(&x, other);
        let (stacked_context, stacked_saved) = attention.forward_stacked(&stacked).unwrap();
        assert_eq!(*values(&stacked_context).unwrap(), *values(&context).unwrap());

        let expected = attention.backward(&context, &x, &saved).unwrap();
        for before in [None, Some(stacked.positions.clone())] {
            let of_other = before.as_ref().map_or(other.zeros_like().unwrap(), |_| other.clone());
            let expected = stack(&expected, &of_other);
            let found =
                attention.backward_stacked(&context, &stacked, &stacked_saved, before).unwrap();
            for (found, expected) in found.rows.iter().zip(&expected.rows) {
                assert_eq!(*values(found).unwrap(), *values(expected).unwrap());
            }
            assert_eq!(*values(&found.positions).unwrap(), *values(&expected.positions).unwrap());
        }
    }
}
