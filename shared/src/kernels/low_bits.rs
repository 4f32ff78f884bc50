//! Levels of one, two or four bits, packed and unpacked.
//!
//! The levels of a group of numbers are evenly spaced around zero, which is none of them: code c of b bits stands for
//! (c - (2^b - 1) / 2) times the group's scale. For a normal distribution that loses less than levels with a zero, most so
//! for few bits; and a group of zeros has the scale 0. The scale has the least squared error (J. Max, "Quantizing for
//! minimum distortion", 1960, section on uniform levels). It is found by turns: codes for a scale, a scale for these codes.
//!
//! The first number is in a byte's lowest bits.

use super::{lanes_sum, simd};

/// The bits of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bits {
    /// Two levels.
    One,
    /// Four levels.
    Two,
    /// Sixteen levels.
    Four,
}

/// Turns of the search for a scale. More of them change nothing that can be measured.
const TURNS: usize = 6;

impl Bits {
    /// All, ascending.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Four];

    /// The number of bits.
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Bytes of `count` packed codes.
    pub const fn bytes(self, count: usize) -> usize {
        count.div_ceil(8 / self.count())
    }

    /// Packs the codes of a group of numbers behind `packed`, from a byte of their own, and returns the group's scale.
    pub fn pack(self, group: &[f32], packed: &mut Vec<u8>) -> f32 {
        let scale = simd!(self.scale(group));
        for numbers in group.chunks(8 / self.count()) {
            let codes = numbers.iter().rev();
            packed.push(
                codes.fold(0, |byte, &number| byte << self.count() | self.code(number, scale)),
            );
        }
        scale
    }

    /// Adds the numbers that a group of packed codes stands for to `sums`.
    pub fn add(self, packed: &[u8], scale: f32, sums: &mut [f32]) {
        let mut levels = [0.0; 16];
        let levels = &mut levels[..1 << self.count()];
        for (code, level) in levels.iter_mut().enumerate() {
            *level = (code as f32 - self.middle()) * scale;
        }
        for (sums, &byte) in sums.chunks_mut(8 / self.count()).zip(packed) {
            let mut byte = usize::from(byte);
            for sum in sums {
                *sum += levels[byte & (levels.len() - 1)];
                byte >>= self.count();
            }
        }
    }

    /// The middle of all codes, between two of them.
    fn middle(self) -> f32 {
        self.largest() / 2.0
    }

    fn largest(self) -> f32 {
        ((1 << self.count()) - 1) as f32
    }

    fn code(self, number: f32, scale: f32) -> u8 {
        // For a group of zeros, or one so small that its scale has no inverse, any code will do.
        if scale < f32::MIN_POSITIVE {
            return 0;
        }
        (number * scale.recip() + self.middle()).round_ties_even().clamp(0.0, self.largest()) as u8
    }

    /// The search starts twice, as it may end in a local minimum: from the best scale of a normal distribution of this
    /// deviation, and from the scale whose outermost levels are the largest numbers.
    #[inline(always)]
    fn scale(self, group: &[f32]) -> f32 {
        let most = group.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let deviation = (lanes_sum(group, |x| x * x) / group.len().max(1) as f32).sqrt();
        let of_a_bell = match self {
            Self::One => 1.596,
            Self::Two => 0.996,
            Self::Four => 0.335,
        };
        let (first, first_gain) = self.settled(group, deviation * of_a_bell);
        let (second, second_gain) = self.settled(group, most / self.middle());
        if second_gain > first_gain { second } else { first }
    }

    /// The scale at which the search ends, and by how much its squared error is less than that of zeros.
    #[inline(always)]
    fn settled(self, group: &[f32], mut scale: f32) -> (f32, f32) {
        let (middle, most) = (self.middle(), self.largest());
        let mut gain = 0.0;
        for _ in 0..TURNS {
            if scale < f32::MIN_POSITIVE {
                return (0.0, 0.0);
            }
            let inverse = scale.recip();
            let level = |number: f32| {
                (number * inverse + middle).round_ties_even().clamp(0.0, most) - middle
            };
            let products = lanes_sum(group, |number| number * level(number));
            let squares = lanes_sum(group, |number| level(number) * level(number));
            // The best scale for these codes, where sum (x - scale level)^2 = sum x^2 - scale products.
            scale = products / squares;
            gain = scale * products;
        }
        (scale, gain)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;
    use crate::kernels::random::RandomKey;

    fn round_trip(bits: Bits, group: &[f32]) -> Vec<f32> {
        let mut packed = Vec::new();
        let scale = bits.pack(group, &mut packed);
        assert_eq!(packed.len(), bits.bytes(group.len()));
        let mut sums = vec![0.0; group.len()];
        bits.add(&packed, scale, &mut sums);
        sums
    }

    /// Normally distributed numbers, by Box and Muller.
    fn bell(count: u32) -> Vec<f32> {
        let key = RandomKey::new(7, 7);
        let even = |i| (f64::from(key.bits(i)) + 0.5) / 2f64.powi(32);
        let normal = |i| (-2.0 * even(2 * i).ln()).sqrt() * (2.0 * PI * even(2 * i + 1)).cos();
        (0..count).map(|i| normal(i) as f32).collect()
    }

    /// The squared error of evenly spaced levels for a normal distribution of variance one: Max's table II, N = 2, 4, 16.
    #[test]
    fn the_error_for_a_bell_is_the_least_there_is() {
        let numbers = bell(400_000);
        for (bits, least) in [(Bits::One, 0.3634), (Bits::Two, 0.1188), (Bits::Four, 0.01154)] {
            let errors =
                round_trip(bits, &numbers).into_iter().zip(&numbers).map(|(a, b)| (a - b).powi(2));
            let error = errors.sum::<f32>() / numbers.len() as f32;
            assert!((error / least - 1.0).abs() < 0.03, "{bits:?}: {error}");
        }
    }

    #[test]
    fn levels_come_back_as_they_were() {
        assert_eq!(round_trip(Bits::One, &[0.5, -0.5, -0.5]), [0.5, -0.5, -0.5]);
        let levels = [-1.5, -0.5, 0.5, 1.5, 1.5];
        assert_eq!(round_trip(Bits::Two, &levels), levels);
        let levels: Vec<f32> = (0..16).map(|code| code as f32 - 7.5).collect();
        assert_eq!(round_trip(Bits::Four, &levels), levels);
    }

    #[test]
    fn zeros_stay_zeros() {
        for bits in Bits::ALL {
            assert_eq!(round_trip(bits, &[0.0; 9]), [0.0; 9]);
            assert!(round_trip(bits, &[]).is_empty());
            assert!(round_trip(bits, &[1e-42, -1e-42]).iter().all(|x| x.abs() <= 2e-42));
        }
    }

    #[test]
    fn the_first_number_lies_lowest() {
        let mut packed = Vec::new();
        assert_eq!(Bits::Two.pack(&[-1.5, -0.5, 0.5, 1.5, 1.5, -1.5], &mut packed), 1.0);
        assert_eq!(packed, [0b11_10_01_00, 0b00_11]);
    }

    proptest! {
        /// Packing is never worse than leaving the numbers out.
        #[test]
        fn a_packed_group_is_nearer_than_zero(
            group in prop::collection::vec(-3.0_f32..3.0, 1..60),
            bits in prop::sample::select(Bits::ALL.to_vec()),
        ) {
            let found = round_trip(bits, &group);
            let error: f32 = found.iter().zip(&group).map(|(a, b)| (a - b).powi(2)).sum();
            let all: f32 = group.iter().map(|x| x * x).sum();
            prop_assert!(error <= all * 1.0001, "{error} of {all}");
        }
    }
}
