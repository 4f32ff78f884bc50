//! Every kernel made wrong on purpose, which the check has to name.

use super::*;
use crate::kernels::cuda::{Fault, emulate, emulate_faulty, kernels_of_emulator};

/// The names of the kernels that are used: each but the tile for cards that have less memory on the chip, and sums of rows in
/// two half formats, which nothing asks for.
fn kernels() -> impl Iterator<Item = String> {
    let unused =
        ["f32_f16", "f32_bf16", "f16_bf16", "bf16_f16"].map(|pair| format!("scatter_add_{pair}"));
    kernels_of_emulator().filter(move |kernel| !kernel.ends_with("_16") && !unused.contains(kernel))
}

fn found_with(kernel: &str, fault: Fault) -> Vec<Difference> {
    emulate_faulty(kernel, fault, || check(&Device::Cpu, &FORMATS)).unwrap()
}

#[test]
fn right_kernels_pass_and_every_kernel_is_checked() {
    let (found, checked) = cuda::launches_by_name(|| emulate(|| check(&Device::Cpu, &FORMATS)));
    assert_eq!(found.unwrap(), []);
    let unchecked: Vec<String> = kernels().filter(|kernel| !checked.contains_key(kernel)).collect();
    assert!(unchecked.is_empty(), "no case of `check_all` starts {unchecked:?}");
}

#[test]
fn every_kernel_that_loses_a_block_is_named() {
    for kernel in kernels() {
        let found = found_with(&kernel, Fault::BlockLost);
        let named = found.iter().any(|difference| difference.finding.contains(&kernel));
        assert!(named, "{kernel}: {found:?}");
        assert!(found.iter().all(|difference| !difference.failed), "{kernel}: {found:?}");
    }
}

#[test]
fn a_factor_that_is_slightly_wrong_is_noticed_and_attention_has_a_plain_way() {
    for (format, has_plain_way) in [("bf16", true), ("f16", true), ("f32", false)] {
        let kernel = format!("attention_forward_{format}_32");
        let [difference] = &found_with(&kernel, Fault::FactorsOff)[..] else {
            panic!("of one operation and format");
        };
        assert_eq!(difference.operation, Operation::Attention);
        assert_eq!(difference.has_plain_way(), has_plain_way);
        let told = difference.to_string();
        assert!(
            told.starts_with(&format!("attention in {format}: the context is off by ")),
            "{told}"
        );
    }
}

#[test]
fn a_kernel_that_fails_ends_the_check_and_has_no_plain_way() {
    let found = found_with("attention_forward_f16_32", Fault::Refused);
    let [difference] = &found[..] else { panic!("{found:?}") };
    assert!(difference.failed && !difference.has_plain_way());
    assert!(difference.finding.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{difference}");
}

#[test]
fn the_plain_way_of_attention_computes_the_same() {
    for format in [DType::F16, DType::BF16] {
        let check = move || {
            cuda::go_plain(Operation::Attention, format);
            let kernel = format!("attention_forward_{}_32", format.as_str());
            let (found, started) = cuda::launches_by_name(|| found_with(&kernel, Fault::BlockLost));
            assert_eq!(found, [], "the faulty kernel is not used");
            assert!(
                !started.contains_key(&kernel) && started.contains_key("attention_forward_f32_32")
            );
        };
        // A thread of its own, as the way is the thread's.
        std::thread::spawn(check).join().unwrap();
    }
}
