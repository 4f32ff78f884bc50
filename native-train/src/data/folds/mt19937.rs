//! The Mersenne Twister and the shuffle of NumPy's `RandomState`, for folds that equal
//! scikit-learn's.
//!
//! M. Matsumoto and T. Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; seeded by the 2002
//! revision of their `init_genrand`.

const N: usize = 624;
const M: usize = 397;

pub struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = previous.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// Fisher-Yates from the end, as NumPy's legacy `shuffle`.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.up_to(last));
        }
    }

    /// Uniform over `0..=max`: draws under the smallest all-ones mask, those above `max` rejected.
    fn up_to(&mut self, max: usize) -> usize {
        let max = u32::try_from(max).expect("fewer than 2^32 rows");
        let mask = u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
        loop {
            let drawn = self.draw() & mask;
            if drawn <= max {
                return drawn as usize;
            }
        }
    }

    fn draw(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard fixes this generator's 10,000th output for the seed 5489.
    #[test]
    fn gives_the_standard_s_ten_thousandth_number() {
        let mut rng = Mt19937::new(5489);
        let last = (0..10_000).map(|_| rng.draw()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    /// `r = np.random.RandomState(42); x = np.arange(10); r.shuffle(x)`, NumPy 2.4.
    #[test]
    fn shuffles_as_numpy_does() {
        let mut values: Vec<usize> = (0..10).collect();
        Mt19937::new(42).shuffle(&mut values);
        assert_eq!(values, [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
    }
}
