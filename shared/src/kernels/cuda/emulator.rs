//! The emulator, which runs the kernels on the CPU for tests: their sources compiled as C++ (`emulator/`).

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CString, c_char};

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::types::{Arg, Launch};
use crate::Result;

#[expect(unsafe_code, reason = "the emulator is C++")]
unsafe extern "C" {
    fn quintet_emulator_launch(
        name: *const c_char,
        grid: *const u32,
        threads: u32,
        shared_bytes: u32,
        kinds: *const u32,
        arguments: *const u64,
        count: u32,
    ) -> bool;

    #[cfg(test)]
    fn quintet_emulator_kernel(place: u32) -> *const c_char;
}

/// The shared memory of a block, that of an H100.
pub const SHARED_BYTES: u32 = 232_448;

thread_local! {
    static EMULATING: Cell<bool> = const { Cell::new(false) };
    static COUNTERS: OnceCell<Tensor> = const { OnceCell::new() };
    static FAULTY: RefCell<Option<(String, Fault)>> = const { RefCell::new(None) };
}

/// Returns this thread's counters, u32 `[count]`, which kernels leave as they find them: zero.
pub(super) fn counters(count: usize) -> Result<Tensor> {
    COUNTERS.with(|counters| {
        if counters.get().is_none() {
            let zeros = Tensor::zeros(count, DType::U32, &Device::Cpu)?;
            counters.set(zeros).expect("just seen to be empty");
        }
        Ok(counters.get().expect("set above").clone())
    })
}

/// A defect of an emulated kernel, for tests of what finds such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its last block does not run. Of a kernel of the optimizer, whose blocks would share out the work of a lost one, none does.
    BlockLost,
    /// Its factors of f32 are five percent too large.
    FactorsOff,
    /// It does not start.
    Refused,
}

/// Runs `work`, in which this thread's operations on CPU tensors are done by the emulated kernels.
pub fn emulate<R>(work: impl FnOnce() -> R) -> R {
    switched(true, work)
}

/// Runs `work` as [`emulate`] does, with a defect in the kernel of this name.
pub fn emulate_faulty<R>(kernel: &str, fault: Fault, work: impl FnOnce() -> R) -> R {
    let before = FAULTY.replace(Some((kernel.to_owned(), fault)));
    let done = emulate(work);
    FAULTY.set(before);
    done
}

/// Runs `work` with the CPU's operations, within [`emulate`].
pub(super) fn natively<R>(work: impl FnOnce() -> R) -> R {
    switched(false, work)
}

/// Returns the names of all kernels.
#[cfg(test)]
pub(in crate::kernels) fn kernels() -> impl Iterator<Item = String> {
    (0..).map_while(|place| {
        #[expect(unsafe_code, reason = "the emulator is C++")]
        // SAFETY: a name that is not null is that of a kernel, which stays as long as the program.
        unsafe {
            let name = quintet_emulator_kernel(place);
            (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    })
}

fn switched<R>(emulating: bool, work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            EMULATING.set(self.0);
        }
    }
    let _restore = Restore(EMULATING.replace(emulating));
    work()
}

pub(super) fn emulating() -> bool {
    EMULATING.get()
}

pub(super) fn launch(launch: &Launch, args: &[Arg]) -> Result<()> {
    let name = CString::new(launch.function.as_str()).expect("a kernel's name");
    let fault = FAULTY.with_borrow(|faulty| {
        faulty.as_ref().filter(|(kernel, _)| *kernel == launch.function).map(|(_, fault)| *fault)
    });
    let (mut grid, mut args) = (launch.grid, args.to_vec());
    match fault {
        None => {}
        Some(Fault::BlockLost) if launch.module == "optimizer" => grid[0] = 0,
        Some(Fault::BlockLost) => grid[0] -= 1,
        Some(Fault::FactorsOff) => args.iter_mut().for_each(|arg| {
            if let Arg::F32(value) = arg {
                *value *= 1.05;
            }
        }),
        Some(Fault::Refused) => {
            let message = format!("{launch}: CUDA_ERROR_ILLEGAL_ADDRESS");
            return Err(candle_core::Error::Msg(message).into());
        }
    }
    let (kinds, slots): (Vec<u32>, Vec<u64>) = args
        .iter()
        .map(|arg| match arg {
            Arg::Pointer(address) => (0, *address),
            Arg::U32(value) => (1, u64::from(*value)),
            Arg::F32(value) => (3, u64::from(value.to_bits())),
            Arg::F64(value) => (4, value.to_bits()),
        })
        .unzip();
    #[expect(unsafe_code, reason = "the emulator is C++")]
    // SAFETY: kinds and number of the arguments are checked there; the pointers are those of
    // tensors that outlive the call, and nothing borrows their values meanwhile.
    let launched = unsafe {
        quintet_emulator_launch(
            name.as_ptr(),
            grid.as_ptr(),
            launch.block,
            launch.shared_bytes,
            kinds.as_ptr(),
            slots.as_ptr(),
            slots.len() as u32,
        )
    };
    if launched {
        return Ok(());
    }
    let message = format!("no kernel `{}` takes {args:?}", launch.function);
    Err(candle_core::Error::Msg(message).into())
}

/// Returns the address of a storage's first element.
pub(super) fn address(storage: &CpuStorage) -> u64 {
    match storage {
        CpuStorage::U32(values) => values.as_ptr() as u64,
        CpuStorage::BF16(values) => values.as_ptr() as u64,
        CpuStorage::F16(values) => values.as_ptr() as u64,
        CpuStorage::F32(values) => values.as_ptr() as u64,
        CpuStorage::F64(values) => values.as_ptr() as u64,
        _ => unreachable!("no kernel takes this format"),
    }
}

/// Fills a new tensor with NaN, so that a kernel that leaves elements out is noticed.
pub(super) fn spoil(tensor: &Tensor) {
    let (storage, _) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return };
    let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
    debug_assert_ne!(tensor.dtype(), DType::U8);
    #[expect(unsafe_code, reason = "memory that nothing has read yet")]
    // SAFETY: the storage has as many bytes, and is new.
    unsafe {
        std::ptr::write_bytes(address(storage) as *mut u8, 0xff, bytes);
    }
}
