//! What only a browser has: its cache, and downloads that break off. The tests replace `fetch`, so that every
//! fault happens when it should.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use shared::bundle::Shard;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web::failure::Failure;
use web::http::{Cancel, Freshness};
use web::source::Source;
use web::worker::fetch::{self, Download};
use web::{browser, cache, manifest};

wasm_bindgen_test_configure!(run_in_browser);

const FILE: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

fn shard(bytes: u64) -> Shard {
    Shard { sha256: "ab".repeat(32), bytes, folds: vec![0], cold: false }
}

/// A network whose answers are the given bodies of JavaScript functions, in turn. Their arguments are the
/// `request`, the byte `from` which it asks, and the `file`.
struct Network {
    asked: Array,
}

impl Network {
    fn new(answers: &[&str]) -> Self {
        let (asked, left) = (Array::new(), Array::new());
        for body in answers {
            left.push(&Function::new_with_args("request, from, file", body));
        }
        let fetch = Function::new_with_args(
            "asked, left, file, request",
            "const range = request.headers.get('range');
             asked.push(range);
             const from = range ? Number(range.slice(6, -1)) : 0;
             const answer = left.shift();
             return answer ? answer(request, from, file) : Promise.reject(new TypeError('lost'));",
        );
        let file = Uint8Array::new_from_slice(&FILE);
        let bound = fetch.bind3(&JsValue::NULL, &asked, &left, &file);
        Reflect::set(&js_sys::global(), &"fetch".into(), &bound).unwrap();
        Self { asked }
    }

    /// The ranges of the requests.
    fn asked(&self) -> Vec<Option<String>> {
        self.asked.iter().map(|range| range.as_string()).collect()
    }
}

const WHOLE: &str = "return Promise.resolve(new Response(file.slice()))";
const REST: &str = "return Promise.resolve(new Response(file.slice(from), {
    status: 206, headers: { 'content-range': `bytes ${from}-9/10` } }))";
/// Four bytes, then the connection is lost.
const BREAKS: &str = "let begun = false; return Promise.resolve(new Response(new ReadableStream({
    pull(controller) {
        if (begun) controller.error(new TypeError('lost'));
        else controller.enqueue(file.slice(0, 4));
        begun = true; } }, { highWaterMark: 0 })))";
const LONGER: &str = "return Promise.resolve(new Response(new Uint8Array(11)))";
const NOT_FOUND: &str = "return Promise.resolve(new Response('', { status: 404 }))";
const BUSY: &str = "return Promise.resolve(new Response('', { status: 503 }))";
/// No answer until the request is given up.
const SILENT: &str = "return new Promise((_, reject) =>
    request.signal.addEventListener('abort', () => reject(request.signal.reason)))";

async fn download(answers: &[&str]) -> (Result<Vec<u8>, Failure>, Vec<Option<String>>) {
    let network = Network::new(answers);
    let mut download = Download::new(&shard(FILE.len() as u64));
    let cancel = Cancel::default();
    let result = fetch::run(&mut download, "/shard", Freshness::Bypassed, &cancel, |_| {}).await;
    (result.map(|()| download.into_bytes()), network.asked())
}

fn range(from: usize) -> String {
    format!("bytes={from}-")
}

#[wasm_bindgen_test]
async fn a_whole_file_comes_whole() {
    assert_eq!(download(&[WHOLE]).await, (Ok(FILE.to_vec()), vec![None]));
}

#[wasm_bindgen_test]
async fn a_broken_download_goes_on_where_it_stopped() {
    assert_eq!(download(&[BREAKS, REST]).await, (Ok(FILE.to_vec()), vec![None, Some(range(4))]));
}

#[wasm_bindgen_test]
async fn a_server_without_ranges_sends_it_again_from_the_start() {
    assert_eq!(download(&[BREAKS, WHOLE]).await, (Ok(FILE.to_vec()), vec![None, Some(range(4))]));
}

#[wasm_bindgen_test]
async fn a_missing_file_is_not_asked_for_twice() {
    let file = shard(0).file_name();
    let (result, asked) = download(&[NOT_FOUND, WHOLE]).await;
    assert_eq!((result, asked), (Err(Failure::NotFound { file }), vec![None]));
}

#[wasm_bindgen_test]
async fn a_busy_server_is_asked_again() {
    assert_eq!(download(&[BUSY, WHOLE]).await, (Ok(FILE.to_vec()), vec![None, None]));
}

#[wasm_bindgen_test]
async fn more_bytes_than_named_are_not_taken() {
    let file = shard(0).file_name();
    let (result, _) = download(&[LONGER, LONGER, LONGER, LONGER]).await;
    assert_eq!(result, Err(Failure::Corrupted { file }));
}

#[wasm_bindgen_test]
async fn a_download_can_be_cancelled_and_goes_on_later() {
    let network = Network::new(&[BREAKS, SILENT, REST]);
    let mut download = Download::new(&shard(FILE.len() as u64));
    let cancel = Rc::new(Cancel::default());
    let later = Rc::clone(&cancel);
    wasm_bindgen_futures::spawn_local(async move {
        browser::sleep(1500).await;
        later.cancel();
    });
    let result = fetch::run(&mut download, "/shard", Freshness::Bypassed, &cancel, |_| {}).await;
    assert_eq!(result, Err(Failure::Cancelled));

    cancel.reset();
    let reported = RefCell::new(Vec::new());
    let report = |received| reported.borrow_mut().push(received);
    let result = fetch::run(&mut download, "/shard", Freshness::Bypassed, &cancel, report).await;
    assert_eq!(result, Ok(()));
    assert_eq!(download.into_bytes(), FILE);
    assert_eq!(network.asked(), [None, Some(range(4)), Some(range(4))]);
    assert_eq!(*reported.borrow(), [10]);
}

#[wasm_bindgen_test]
async fn a_manifest_that_is_none_and_one_that_is_missing_are_told_apart() {
    Network::new(&[WHOLE]);
    let source = |address| Source::new(address, None);
    let refused = manifest::fetch_manifest(&source("bundle").unwrap()).await.unwrap_err();
    assert!(matches!(refused, Failure::Instead { .. }), "{refused:?}");
    Network::new(&[NOT_FOUND]);
    let named = source("bundle/manifest.json").unwrap();
    let missing = manifest::fetch_manifest(&named).await.unwrap_err();
    assert_eq!(missing, Failure::NotFound { file: "manifest.json".to_owned() });
    let elsewhere = source("https://example.org/bundle").unwrap_err();
    assert!(matches!(elsewhere, Failure::Unpinned { .. }), "{elsewhere:?}");
}

#[wasm_bindgen_test]
async fn the_cache_keeps_counts_and_forgets() {
    cache::clear().await;
    let shard = shard(FILE.len() as u64);
    let other = Shard { sha256: "cd".repeat(32), ..shard.clone() };
    assert_eq!(cache::read(&shard).await, None);
    cache::write(&shard, &Uint8Array::new_from_slice(&FILE)).await.unwrap();
    assert_eq!(cache::read(&shard).await.as_deref(), Some(&FILE[..]));
    assert_eq!(cache::present(&[other, shard.clone()]).await, [false, true]);
    assert_eq!(cache::size().await, 10);
    cache::remove(&shard).await;
    assert_eq!(cache::size().await, 0);
    cache::write(&shard, &Uint8Array::new_from_slice(&FILE)).await.unwrap();
    cache::clear().await;
    assert_eq!((cache::read(&shard).await, cache::size().await), (None, 0));
}

#[wasm_bindgen_test]
async fn the_browsers_sha256_is_ours() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    let hash = browser::sha256(&bytes).await.expect("a page of this machine");
    let ours = Sha256::digest(&bytes);
    assert_eq!(hash[..], ours[..]);
}
