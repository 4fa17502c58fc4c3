//! Large objects in little memory. The measure is that of the whole process, so this test runs itself in one of its own.

use std::time::Instant;

use atelier_domain::ports::{AssetStore, ByteStream, NewObject};
use atelier_s3_store::{S3Settings, S3Store};
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::bench::Bench;
use crate::media::{image, mp4_head, png, source, video};

const SIZE: u64 = 500_000_000;
const CHUNK: u64 = 62_500;

/// 500 MB that exist nowhere at once.
fn generated() -> ByteStream {
    let chunk = Bytes::from(vec![0x5a; CHUNK as usize]);
    let head = Bytes::from(mp4_head(SIZE));
    Box::pin(stream::iter([Ok(head)]).chain(stream::iter((0..SIZE / CHUNK).map(move |_| Ok(chunk.clone())))))
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn half_a_gigabyte_passes_through_less_than_32_mebibytes() {
    const ALONE: &str = "S3_STORE_TEST_ALONE";
    let name = "memory::half_a_gigabyte_passes_through_less_than_32_mebibytes";
    if std::env::var_os(ALONE).is_some() {
        return measure().await;
    }
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output();
    let output = child.await.unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{output:?}");
}

async fn measure() {
    let bench = Bench::start().await;
    let store = S3Store::connect(S3Settings { part_size_bytes: 8 << 20, ..bench.settings() }).await.unwrap();
    // The first call brings the code of client and server into memory.
    store.put(image(), source(png(10))).await.unwrap();

    let before = status("VmRSS");
    // Sets the high-water mark back to the present use.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let start = Instant::now();
    let length_bytes = Some(SIZE + mp4_head(SIZE).len() as u64);
    let stored = store.put(NewObject { length_bytes, ..video() }, generated()).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let growth = status("VmHWM").saturating_sub(before);
    println!("{} bytes in {seconds:.1} s, memory grew by at most {} KiB", stored.size_bytes, growth / 1024);

    assert_eq!(Some(stored.size_bytes), length_bytes);
    assert!(growth < 32 << 20, "memory grew by {growth} bytes");
}
