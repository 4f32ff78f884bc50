//! The content of a file that the visitor chose, decompressed if it is compressed by gzip.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
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

/// Reads the file. What is decompressed ends after more than `most` bytes, as a small file can hold gigabytes.
///
/// # Errors
/// If the file has gone, may not be read, or is a damaged gzip file.
pub async fn read(file: &File, most: usize) -> Result<Vec<u8>, JsValue> {
    let content = Uint8Array::new(&JsFuture::from(file.array_buffer()).await?).to_vec();
    if content.starts_with(&GZIP) { decompressed(file, most).await } else { Ok(content) }
}

async fn decompressed(file: &File, most: usize) -> Result<Vec<u8>, JsValue> {
    let stream = file.stream().pipe_through(&DecompressionStream::new("gzip")?.into());
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut content = Vec::new();
    while content.len() <= most {
        let read = JsFuture::from(reader.read()).await?;
        let Ok(chunk) = Reflect::get(&read, &"value".into())?.dyn_into::<Uint8Array>() else {
            return Ok(content);
        };
        content.extend(chunk.to_vec());
    }
    // The rest is not wanted; whether the stream can be cancelled does not matter.
    let _ = JsFuture::from(reader.cancel()).await;
    Ok(content)
}
