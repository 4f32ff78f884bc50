//! Between score matrices and bands: products with all reachable positions, in which the row of
//! query i begins `shift(i)` further on.

use super::head::Head;

/// score(i, j) += band[i, distance(i, j)].
#[inline(always)]
pub fn add_query_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let rows = scores.chunks_exact_mut(head.keys).zip(band.chunks_exact(head.reach()));
    for (i, (scores, band)) in rows.enumerate() {
        for (s, b) in scores.iter_mut().zip(&band[head.shift(i)..]) {
            *s += b;
        }
    }
}

/// score(i, j) += band[j, distance(i, j)].
#[inline(always)]
pub fn add_key_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let diagonal = head.reach() + 1;
    for (i, scores) in scores.chunks_exact_mut(head.keys).enumerate() {
        for (s, b) in scores.iter_mut().zip(band[head.shift(i)..].iter().step_by(diagonal)) {
            *s += b;
        }
    }
}

/// band[i, distance(i, j)] = score(i, j), zero elsewhere: the transpose of `add_query_band`.
pub fn spread_query_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let rows = band.chunks_exact_mut(head.reach()).zip(scores.chunks_exact(head.keys));
    for (i, (band, scores)) in rows.enumerate() {
        band[head.shift(i)..][..head.keys].copy_from_slice(scores);
    }
}

/// band[j, distance(i, j)] = score(i, j), zero elsewhere: the transpose of `add_key_band`.
pub fn spread_key_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let diagonal = head.reach() + 1;
    for (i, scores) in scores.chunks_exact(head.keys).enumerate() {
        for (b, s) in band[head.shift(i)..].iter_mut().step_by(diagonal).zip(scores) {
            *b = *s;
        }
    }
}
