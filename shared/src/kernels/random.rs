//! Counter-based random numbers: a pure function of (seed, place in the model, element).
//!
//! Nothing is drawn in sequence, so that the mask of a forward pass can be computed again in its
//! backward pass instead of being stored, in any order, on any number of threads or devices.

/// The key of one stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomKey([u32; 2]);

impl RandomKey {
    /// Derives the key of one stream: `site` numbers the place in the model.
    pub fn new(seed: u64, site: u32) -> Self {
        let mixed = splitmix64(splitmix64(seed) ^ u64::from(site));
        Self([mixed as u32, (mixed >> 32) as u32])
    }

    /// Returns 32 random bits for the element at `index`.
    #[inline(always)]
    pub fn bits(self, index: u32) -> u32 {
        hash32(hash32(index ^ self.0[0]).wrapping_add(self.0[1]))
    }
}

/// The dropout of one tensor: each element is zeroed with a probability, and the others are scaled up
/// such that the expectation does not change.
#[derive(Debug, Clone, Copy)]
pub struct DropoutMask {
    key: RandomKey,
    threshold: u32,
    scale: f32,
}

impl DropoutMask {
    /// Drops each element with a `probability` in 0..1.
    pub fn new(probability: f64, key: RandomKey) -> Self {
        Self {
            key,
            threshold: (probability * 2f64.powi(32)) as u32,
            scale: (1.0 / (1.0 - probability)) as f32,
        }
    }

    /// Returns the key, the smallest bits that keep an element, and the factor of a kept element.
    pub(super) fn parts(self) -> ([u32; 2], u32, f32) {
        (self.key.0, self.threshold, self.scale)
    }

    /// Returns the factor of the element at `index`: 0 or 1 / (1 - probability).
    #[inline(always)]
    pub fn factor(&self, index: usize) -> f32 {
        if self.key.bits(index as u32) >= self.threshold { self.scale } else { 0.0 }
    }
}

/// Mixes 32 bits by two multiplications, with constants from Ettinger's hash prospector.
#[inline(always)]
fn hash32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
    let x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
    x ^ (x >> 15)
}

/// Returns the output of Vigna's SplitMix64 for a state.
pub fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 1 << 20;

    fn kept(mask: DropoutMask) -> Vec<bool> {
        (0..N).map(|i| mask.factor(i) > 0.0).collect()
    }

    fn share(flags: impl Iterator<Item = bool>) -> f64 {
        flags.filter(|&on| on).count() as f64 / N as f64
    }

    #[test]
    fn drops_the_asked_share_and_keeps_the_mean() {
        for p in [0.0, 0.1, 0.5, 0.9] {
            let mask = DropoutMask::new(p, RandomKey::new(42, 7));
            let mean = (0..N).map(|i| f64::from(mask.factor(i))).sum::<f64>() / N as f64;
            // Five standard deviations of a mean of N scaled Bernoulli variables.
            assert!(
                (mean - 1.0).abs() < 5.0 * (p / (1.0 - p) / N as f64).sqrt() + 1e-7,
                "{p}: {mean}"
            );
        }
    }

    #[test]
    fn masks_of_other_seeds_sites_and_neighbours_are_independent() {
        let base = kept(DropoutMask::new(0.5, RandomKey::new(1, 0)));
        let tolerance = 5.0 * (0.25 / N as f64).sqrt();
        for key in [RandomKey::new(2, 0), RandomKey::new(1, 1), RandomKey::new(3, 9)] {
            let other = kept(DropoutMask::new(0.5, key));
            let agree = share(base.iter().zip(&other).map(|(a, b)| a == b));
            assert!((agree - 0.5).abs() < tolerance, "{key:?}: {agree}");
        }
        for lag in [1, 2, 3, 64, 384, 768, 1 << 10] {
            let agree = share((0..N).map(|i| base[i] == base[(i + lag) % N]));
            assert!((agree - 0.5).abs() < tolerance, "lag {lag}: {agree}");
        }
    }
}
