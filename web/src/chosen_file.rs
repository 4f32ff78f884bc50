//! The content of a file that the visitor chose, block by block, decompressed if it is compressed by gzip.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{File, ReadableStreamDefaultReader, ReadableWritablePair};

const GZIP: [u8; 2] = [0x1F, 0x8B];

#[wasm_bindgen]
extern "C" {
    /// The browser's decompressor. It has the two streams that [`ReadableWritablePair`] names.
    #[wasm_bindgen(extends = ReadableWritablePair)]
    type DecompressionStream;

    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<DecompressionStream, JsValue>;
}

/// The blocks of a file, of which one at a time is in memory. Dropping it leaves the rest unread.
pub struct Blocks {
    reader: ReadableStreamDefaultReader,
}

impl Blocks {
    /// Opens the file.
    ///
    /// # Errors
    /// If the file has gone or may not be read.
    pub async fn of(file: &File) -> Result<Self, JsValue> {
        let beginning = file.slice_with_f64_and_f64(0.0, GZIP.len() as f64)?;
        let beginning = Uint8Array::new(&JsFuture::from(beginning.array_buffer()).await?).to_vec();
        let stream = if beginning == GZIP {
            file.stream().pipe_through(&DecompressionStream::new("gzip")?.into())
        } else {
            file.stream()
        };
        Ok(Self { reader: stream.get_reader().unchecked_into() })
    }

    /// The next block; `None` after the last.
    ///
    /// # Errors
    /// If the file has gone, may not be read, or is a damaged gzip file.
    pub async fn next(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let read = JsFuture::from(self.reader.read()).await?;
        let block = Reflect::get(&read, &"value".into())?.dyn_into::<Uint8Array>();
        Ok(block.ok().map(|block| block.to_vec()))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let cancelled = JsFuture::from(self.reader.cancel());
        spawn_local(async move {
            // The rest is not wanted, and a stream that broke off cannot be cancelled.
            let _ = cancelled.await;
        });
    }
}
