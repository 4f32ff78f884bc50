//! A row of activations as integers of one scale.

use super::super::simd;

/// Writes x as integers times a scale, by which the largest magnitude becomes `qmax`, and returns the scale. If a number is
/// not finite, the scale is NaN.
pub fn quantize(x: &[f32], qmax: i16, integers: &mut [i16]) -> f32 {
    let qmax = f32::from(qmax);
    simd!({
        let (scale, inverse) = match largest_magnitude(x) {
            m if !m.is_finite() => (f32::NAN, 0.0),
            // A row of zeros, or one so small that its scale has no inverse, becomes zeros.
            m if m < f32::MIN_POSITIVE * qmax => (0.0, 0.0),
            m => (m / qmax, qmax / m),
        };
        round(x, inverse, integers);
        scale
    })
}

/// The largest magnitude of a row; not finite if a number is not finite.
#[inline(always)]
fn largest_magnitude(row: &[f32]) -> f32 {
    // Without the sign, the bits of floats are in the order of their values, with infinity and then NaN last.
    let bits = row.iter().fold(0, |most: u32, x| most.max(x.to_bits() & 0x7fff_ffff));
    f32::from_bits(bits)
}

/// Rounds each number times `factor` to the nearest integer.
#[inline(always)]
fn round(row: &[f32], factor: f32, integers: &mut [i16]) {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    for (integer, x) in integers.iter_mut().zip(row) {
        *integer = (x * factor + ROUND).to_bits() as i16;
    }
}
