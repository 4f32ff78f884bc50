//! Sums between score matrices and bands, which are products with all reachable positions. In a band
//! the distances of query i begin at column `shift(i)`. Scores begin at the head's first query and key.

use super::head::Head;

/// Adds band[i, distance(i, j)] to score(i, j).
#[inline(always)]
pub fn add_query_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let rows = scores.chunks_mut(head.score_columns).zip(band.chunks_exact(head.reach()));
    for (i, (scores, band)) in rows.enumerate() {
        for (s, b) in scores[..head.keys].iter_mut().zip(&band[head.shift(i)..]) {
            *s += b;
        }
    }
}

/// Adds band[j, distance(i, j)] to score(i, j).
#[inline(always)]
pub fn add_key_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let diagonal = head.reach() + 1;
    let rows = scores.chunks_mut(head.score_columns).take(head.queries);
    for (i, scores) in rows.enumerate() {
        for (s, b) in scores.iter_mut().zip(band[head.shift(i)..].iter().step_by(diagonal)) {
            *s += b;
        }
    }
}

/// Sets band[i, distance(i, j)] to score(i, j) and all else to zero: the transpose of `add_query_band`.
pub fn spread_query_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let rows = band.chunks_exact_mut(head.reach()).zip(scores.chunks(head.score_columns));
    for (i, (band, scores)) in rows.enumerate() {
        band[head.shift(i)..][..head.keys].copy_from_slice(&scores[..head.keys]);
    }
}

/// Sets band[j, distance(i, j)] to score(i, j) and all else to zero: the transpose of `add_key_band`.
pub fn spread_key_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let diagonal = head.reach() + 1;
    let rows = scores.chunks(head.score_columns).take(head.queries);
    for (i, scores) in rows.enumerate() {
        for (b, s) in band[head.shift(i)..].iter_mut().step_by(diagonal).zip(scores) {
            *b = *s;
        }
    }
}
