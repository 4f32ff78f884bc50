//! A row of activations as whole numbers of one scale.

use super::super::simd;

/// Writes x as multiples of a scale, by which its largest magnitude is `largest`, and returns the scale. Where a
/// number is not finite, neither is the scale.
pub fn quantise(x: &[f32], largest: i16, numbers: &mut [i16]) -> f32 {
    let largest = f32::from(largest);
    simd(|| {
        let (scale, inverse) = match largest_magnitude(x) {
            m if !m.is_finite() => (f32::NAN, 0.0),
            // Of a row of zeros, or one so small that its scale has no inverse, nothing is kept.
            m if m < f32::MIN_POSITIVE * largest => (0.0, 0.0),
            m => (m / largest, largest / m),
        };
        round(x, inverse, numbers);
        scale
    })
}

/// The largest magnitude of a row; not finite if a number is not.
#[inline(always)]
fn largest_magnitude(row: &[f32]) -> f32 {
    // Without their sign, the bits of floats have the order of the numbers, infinity and then NaN last.
    let bits = row.iter().fold(0, |most: u32, x| most.max(x.to_bits() & 0x7fff_ffff));
    f32::from_bits(bits)
}

/// Each number times `factor`, to the nearest whole one.
#[inline(always)]
fn round(row: &[f32], factor: f32, numbers: &mut [i16]) {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    for (number, x) in numbers.iter_mut().zip(row) {
        *number = (x * factor + ROUND).to_bits() as i16;
    }
}
