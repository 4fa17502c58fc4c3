//! The bytes of assets: whole, in part, unchanged, and from a store that breaks off.

use std::sync::atomic::Ordering;
use std::time::Duration;

use atelier_api::serve;
use atelier_domain::asset::Asset;
use atelier_domain::operation::Operation;
use axum::body::{Body, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fakes::{Api, asset_of, request, upload_of};

fn bytes() -> Vec<u8> {
    (0..10_000u32).map(|index| (index % 251) as u8).collect()
}

/// An asset with its bytes.
fn kept(api: &Api) -> Asset {
    let asset = Asset { size_bytes: 10_000, ..upload_of("acme", 1) };
    api.store.keep_object(&asset.key, &bytes());
    api.store.keep_asset(asset.clone());
    asset
}

async fn send(
    api: &Api,
    method: &str,
    asset: &Asset,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut all = vec![("x-api-key", "acme-key")];
    all.extend_from_slice(headers);
    let path = format!("/api/v1/assets/{}/content", asset.id);
    api.raw(request(method, &path, &all, Body::empty())).await
}

#[tokio::test]
async fn the_whole_file_comes_with_all_that_is_known_of_it() {
    let api = Api::default();
    let asset = kept(&api);
    let (status, headers, body) = send(&api, "GET", &asset, &[]).await;
    assert_eq!(status, 200);
    assert!(body == bytes());
    let etag = format!("\"{}\"", asset.sha256);
    let name = format!("attachment; filename=\"{}.png\"", asset.id);
    for (header, value) in [
        ("content-type", "image/png"),
        ("content-length", "10000"),
        ("accept-ranges", "bytes"),
        ("etag", &etag),
        ("content-disposition", &name),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(headers[header], value, "{header}");
    }
    assert!(!headers.contains_key("content-range"));
}

#[tokio::test]
async fn one_range_is_206_and_several_are_the_whole() {
    let api = Api::default();
    let asset = kept(&api);
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-1099", 100..1_100),
        ("bytes=9990-", 9_990..10_000),
        ("bytes=-10", 9_990..10_000),
        ("bytes=9000-20000", 9_000..10_000),
    ] {
        let (status, headers, body) = send(&api, "GET", &asset, &[("range", range)]).await;
        assert_eq!(status, 206, "{range}");
        assert!(body == bytes()[part.clone()], "{range}");
        assert_eq!(headers["content-range"], format!("bytes {}-{}/10000", part.start, part.end - 1));
        assert_eq!(headers["content-length"], part.len().to_string());
        assert_eq!(headers["content-type"], "image/png");
    }
    for range in ["bytes=0-1,5-6", "bytes=x-y", "lines=1-2"] {
        let (status, headers, body) = send(&api, "GET", &asset, &[("range", range)]).await;
        assert_eq!((status.as_u16(), body.len()), (200, 10_000), "{range}");
        assert!(!headers.contains_key("content-range"));
    }
}

#[tokio::test]
async fn bytes_that_are_not_there_are_416_with_the_length() {
    let api = Api::default();
    let asset = kept(&api);
    let headers = [("x-api-key", "acme-key"), ("range", "bytes=10000-")];
    let path = format!("/api/v1/assets/{}/content", asset.id);
    let answer = api.send(request("GET", &path, &headers, Body::empty())).await;
    assert!(answer.refused(416, "range_not_satisfiable").contains("10000 bytes"));
    assert_eq!(answer.headers["content-range"], "bytes */10000");
}

#[tokio::test]
async fn a_part_is_given_only_of_the_version_that_is_meant() {
    let api = Api::default();
    let asset = kept(&api);
    let etag = format!("\"{}\"", asset.sha256);
    for (tag, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", tag)];
        assert_eq!(send(&api, "GET", &asset, &headers).await.0.as_u16(), status, "{tag}");
    }
}

#[tokio::test]
async fn who_has_it_gets_304_and_no_bytes() {
    let api = Api::default();
    let asset = kept(&api);
    let etag = format!("\"{}\"", asset.sha256);
    for method in ["GET", "HEAD"] {
        let (status, headers, body) = send(&api, method, &asset, &[("if-none-match", &etag)]).await;
        assert_eq!((status.as_u16(), body.len()), (304, 0));
        assert_eq!(headers["etag"], etag.as_str());
    }
    assert_eq!(send(&api, "GET", &asset, &[("if-none-match", "\"other\"")]).await.0, 200);
}

#[tokio::test]
async fn head_tells_the_same_and_asks_the_store_for_nothing() {
    let api = Api::default();
    let asset = kept(&api);
    api.store.assets_are_down.store(true, Ordering::SeqCst);
    let (status, headers, body) = send(&api, "HEAD", &asset, &[("range", "bytes=0-9")]).await;
    assert_eq!((status.as_u16(), body.len()), (200, 0));
    assert_eq!(headers["content-length"], "10000");
    assert_eq!(headers["accept-ranges"], "bytes");
    let get = api.get(&format!("/api/v1/assets/{}/content", asset.id)).await;
    assert!(!get.refused(503, "unavailable").contains("secret"));
}

#[tokio::test]
async fn an_empty_file_is_no_error() {
    let api = Api::default();
    let mut asset = asset_of(&atelier_domain::ids::JobId::new(), "acme", "text/plain; charset=utf-8");
    asset.made_by.as_mut().unwrap().operation = Operation::Stt;
    asset.size_bytes = 0;
    api.store.keep_object(&asset.key, b"");
    api.store.keep_asset(asset.clone());
    let (status, headers, body) = send(&api, "GET", &asset, &[]).await;
    assert_eq!((status.as_u16(), body.len(), &headers["content-length"]), (200, 0, &"0".parse().unwrap()));
}

#[tokio::test]
async fn a_foreign_file_and_one_that_is_gone_are_404() {
    let api = Api::default();
    let asset = kept(&api);
    let path = format!("/api/v1/assets/{}/content", asset.id);
    let foreign = api.send(request("GET", &path, &[("x-api-key", "beta-key")], Body::empty())).await;
    foreign.refused(404, "not_found");
    api.send(request("GET", &path, &[], Body::empty())).await.refused(401, "unauthorized");
    api.store.drop_object(&asset.key);
    assert!(api.get(&path).await.refused(404, "not_found").contains("file"));
}

#[tokio::test]
async fn a_store_that_breaks_off_breaks_the_connection() {
    let api = Api::default();
    let asset = kept(&api);
    api.store.breaks_after.store(4_000, Ordering::SeqCst);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let grace = Duration::from_secs(5);
    let serving = tokio::spawn(serve(listener, api.router.clone(), shutdown.clone(), grace));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = format!("/api/v1/assets/{}/content", asset.id);
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: acme-key\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of the connection before the end of the body: whoever reads it knows that bytes are missing.
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 10000"), "{head}");
    assert!(answer.len() - end - 4 < 10_000);
    shutdown.cancel();
    serving.await.unwrap();
}
