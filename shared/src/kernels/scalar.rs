//! Elementary functions of one f32, written such that loops over them become vector code: without
//! branches, calls, or fused multiply-add (which is a call on machines that lack it).

/// Returns e^x to within 2 units in the last place; x is clamped to [-87.34, 88.3].
///
/// Range reduction by Cody and Waite, then the degree-6 polynomial of the Cephes library.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.336_54, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_66;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    (p * r * r + r + 1.0) * power
}

/// Returns the error function of x, with an absolute error below 1e-6 (5e-7 relative near 0).
///
/// Rational approximation in x^2 over [-3.92, 3.92], beyond which f32 knows only +-1; the
/// coefficients are those of Eigen and XLA.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-3.832_507, 3.832_507);
    let t = x * x;
    let p = 0.000_229_050_66;
    let p = p * t + 0.003_408_291;
    let p = p * t + 0.050_955_694;
    let p = p * t + 0.185_208_33;
    let p = p * t + 1.128_379_1;
    let q = -1.179_160_3e-7;
    let q = q * t + 2.354_796_6e-5;
    let q = q * t + 0.001_017_962_5;
    let q = q * t + 0.014_070_47;
    let q = q * t + 0.110_985_05;
    let q = q * t + 0.497_469_25;
    let q = q * t + 1.0;
    (x * p / q).clamp(-1.0, 1.0)
}

/// Returns the logistic function of x, 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Returns the exact GELU of z, z Phi(z) with Phi the normal distribution function.
#[inline(always)]
pub fn gelu(z: f32) -> f32 {
    z * normal_cdf(z)
}

/// Returns the standard normal distribution function of z.
#[inline(always)]
pub fn normal_cdf(z: f32) -> f32 {
    0.5 + 0.5 * erf(z * std::f32::consts::FRAC_1_SQRT_2)
}

/// Returns the standard normal density of z.
#[inline(always)]
pub fn normal_density(z: f32) -> f32 {
    const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
    FRAC_1_SQRT_2PI * exp(-0.5 * z * z)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun 7.1.5, summed in f64 until it no longer changes.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while f64::abs(term) > 1e-18 {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn exp_is_within_two_ulp() {
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.4e-7, "exp({x}): relative error {error}");
        }
        assert!(exp(-1000.0) < 1.3e-38);
        assert!(exp(f32::MAX).is_finite());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn erf_is_within_a_millionth() {
        for i in -4000..=4000 {
            let x = i as f32 / 1000.0;
            let error = (f64::from(erf(x)) - erf_series(f64::from(x))).abs();
            assert!(error < 5e-7, "erf({x}): error {error}");
        }
    }

    #[test]
    fn sigmoid_saturates_without_overflow() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(100.0), 1.0);
        assert!(sigmoid(-80.0) > 0.0 && sigmoid(-80.0) < 1e-34);
        assert!(sigmoid(-1e30).is_finite());
    }
}
