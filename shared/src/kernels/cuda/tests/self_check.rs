//! The check of a card, on this one.

use super::device_test;
use crate::kernels::self_check::{FORMATS, check};

device_test! {
    /// Small enough for tools that slow each kernel down a hundredfold.
    fn the_self_check_finds_nothing(device) {
        assert_eq!(check(device, &FORMATS).unwrap(), []);
    }
}
