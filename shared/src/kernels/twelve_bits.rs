//! Signed integers of twelve bits, packed and unpacked: two in three bytes, the first in the lower bits. In a row of an odd
//! number of integers the last takes two bytes.

/// The largest magnitude. -2048 is not used, so the range is symmetric.
pub const QMAX: i16 = 2047;

/// Bytes of `count` packed integers.
pub const fn bytes(count: usize) -> usize {
    count / 2 * 3 + count % 2 * 2
}

/// Packs a row behind `packed`.
pub fn pack(row: &[i16], packed: &mut Vec<u8>) {
    let (pairs, last) = row.as_chunks();
    for &[first, second] in pairs {
        let [low, high] = (first & 0xfff | second << 12).to_le_bytes();
        packed.extend([low, high, (second >> 4) as u8]);
    }
    for integer in last {
        packed.extend((integer & 0xfff).to_le_bytes());
    }
}

/// Unpacks a row of `row.len()` integers.
pub fn unpack(packed: &[u8], row: &mut [i16]) {
    let ((pairs, last), (places, last_place)) = (packed.as_chunks(), row.as_chunks_mut());
    for (place, &[a, b, c]) in places.iter_mut().zip(pairs) {
        *place = [lower(a, b), upper(b, c)];
    }
    if let ([place], &[a, b]) = (last_place, last) {
        *place = lower(a, b);
    }
}

/// The integer in the lower twelve bits of two bytes.
fn lower(low: u8, high: u8) -> i16 {
    i16::from_le_bytes([low, high]) << 4 >> 4
}

/// The integer in the upper twelve bits of two bytes.
fn upper(low: u8, high: u8) -> i16 {
    i16::from_le_bytes([low, high]) >> 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_comes_back_from_either_place() {
        let all: Vec<i16> = (-QMAX..=QMAX).collect();
        for row in [&all[..], &all[1..], &all[..1], &[]] {
            let mut packed = Vec::new();
            pack(row, &mut packed);
            assert_eq!(packed.len(), bytes(row.len()));
            let mut unpacked = vec![0; row.len()];
            unpack(&packed, &mut unpacked);
            assert_eq!(unpacked, row);
        }
        let mut packed = Vec::new();
        pack(&[0x123, -1, 0x456], &mut packed);
        assert_eq!(packed, [0x23, 0xf1, 0xff, 0x56, 0x04]);
    }
}
