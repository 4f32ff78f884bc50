//! Whole numbers of twelve bits and a sign among them, packed, both ways: two in three bytes, the first in the lower bits.
//! Where a row has an odd number of them, the last takes two bytes.

/// The largest magnitude; -2048 is not used, so that the range is symmetric.
pub const LARGEST: i16 = 2047;

/// Bytes of `numbers` packed numbers.
pub const fn bytes(numbers: usize) -> usize {
    numbers / 2 * 3 + numbers % 2 * 2
}

/// Packs a row behind `packed`.
pub fn pack(row: impl IntoIterator<Item = i16>, packed: &mut Vec<u8>) {
    let mut row = row.into_iter().map(|number| number as u16 & 0xfff);
    while let Some(first) = row.next() {
        packed.extend(first.to_le_bytes());
        if let Some(second) = row.next() {
            *packed.last_mut().expect("two bytes were added") |= (second << 4) as u8;
            packed.push((second >> 4) as u8);
        }
    }
}

/// Writes the numbers of a row.
pub fn unpack(packed: &[u8], row: &mut [i16]) {
    let ((pairs, last), (places, last_place)) = (packed.as_chunks(), row.as_chunks_mut());
    for (place, &[a, b, c]) in places.iter_mut().zip(pairs) {
        *place = [lower(a, b), upper(b, c)];
    }
    if let ([place], &[a, b]) = (last_place, last) {
        *place = lower(a, b);
    }
}

/// The sign is the twelfth bit.
fn lower(low: u8, high: u8) -> i16 {
    i16::from_le_bytes([low, high]) << 4 >> 4
}

fn upper(low: u8, high: u8) -> i16 {
    i16::from_le_bytes([low, high]) >> 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_either_place() {
        let all: Vec<i16> = (-LARGEST..=LARGEST).collect();
        for row in [&all[..], &all[1..], &all[..1], &[]] {
            let mut packed = Vec::new();
            pack(row.iter().copied(), &mut packed);
            assert_eq!(packed.len(), bytes(row.len()));
            let mut unpacked = vec![0; row.len()];
            unpack(&packed, &mut unpacked);
            assert_eq!(unpacked, row);
        }
        let mut packed = Vec::new();
        pack([0x123, -1, 0x456], &mut packed);
        assert_eq!(packed, [0x23, 0xf1, 0xff, 0x56, 0x04]);
    }
}
