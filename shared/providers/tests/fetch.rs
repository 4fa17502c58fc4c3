//! The fetcher: what it refuses to touch, and what it makes of servers that do not keep their word.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use atelier_domain::foreign::{Exceptions, UrlRefusal};
use atelier_domain::ports::{FetchError, Fetched, Fetcher};
use atelier_providers::{FetchSettings, GuardedFetcher, Lookup};

use crate::contract::collected;
use crate::stand::{Rude, RudeStand, Stand, answer, free_port, install_crypto, redirect};

/// Every name leads here; remembers which were asked for.
#[derive(Default)]
struct Fixed {
    addresses: Vec<IpAddr>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Lookup for Fixed {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        Ok(self.addresses.clone())
    }
}

fn leading_to(addresses: &[&str]) -> Arc<Fixed> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Fixed { addresses, asked: Mutex::default() })
}

fn settings() -> FetchSettings {
    FetchSettings {
        connect_timeout_ms: 500,
        head_timeout_ms: 600,
        idle_timeout_ms: 300,
        timeout_ms: 1_500,
        max_bytes: 10_000,
        max_redirects: 5,
    }
}

fn fetcher_with(lookup: Arc<Fixed>, exceptions: &[String]) -> GuardedFetcher {
    install_crypto();
    GuardedFetcher::with_lookup(settings(), Exceptions::new(exceptions.iter().cloned()), lookup).unwrap()
}

/// A fetcher that may read from this server only.
fn fetcher_for(address: std::net::SocketAddr) -> GuardedFetcher {
    fetcher_with(leading_to(&["127.0.0.1"]), &[address.to_string()])
}

async fn error_of(fetcher: &GuardedFetcher, url: &str) -> FetchError {
    match fetcher.fetch(url).await {
        Err(error) => error,
        Ok(_) => panic!("{url} was fetched"),
    }
}

async fn whole(fetched: Fetched) -> String {
    String::from_utf8(collected(fetched.body).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_is_read_whole_and_without_credentials() {
    let stand = Stand::start(|_, _| answer(200, "image/png", "bytes")).await;
    let fetched = fetcher_for(stand.address).fetch(&format!("{}/a.png?sig=1", stand.base())).await.unwrap();
    assert_eq!((fetched.content_type.as_deref(), fetched.length_bytes), (Some("image/png"), Some(5)));
    assert_eq!(whole(fetched).await, "bytes");
    let seen = stand.seen();
    assert_eq!(seen[0].target, "/a.png?sig=1");
    for name in ["authorization", "cookie", "referer", "xi-api-key"] {
        assert!(!seen[0].headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn inv8_a_private_address_is_not_asked() {
    let stand = Stand::start(|_, _| answer(200, "image/png", "bytes")).await;
    let fetcher = fetcher_with(leading_to(&["127.0.0.1"]), &[]);
    let error = error_of(&fetcher, &stand.base()).await;
    assert_eq!(error, FetchError::Refused(UrlRefusal::Private("127.0.0.1".parse().unwrap())));
    assert_eq!(stand.seen().len(), 0);
}

#[tokio::test]
async fn inv8_a_public_name_that_leads_to_a_private_address_is_refused() {
    let stand = Stand::start(|_, _| answer(200, "image/png", "bytes")).await;
    for private in ["127.0.0.1", "::1", "169.254.169.254", "10.1.2.3"] {
        let lookup = leading_to(&[private]);
        let fetcher = fetcher_with(Arc::clone(&lookup), &[]);
        let url = format!("http://files.example.com:{}/a.png", stand.address.port());
        let error = error_of(&fetcher, &url).await;
        assert_eq!(error, FetchError::Refused(UrlRefusal::Private(private.parse().unwrap())), "{private}");
        assert_eq!(*lookup.asked.lock().unwrap(), ["files.example.com"]);
    }
    assert_eq!(stand.seen().len(), 0);
}

#[tokio::test]
async fn inv8_a_redirect_to_a_private_address_is_refused() {
    let inside = Stand::start(|_, _| answer(200, "text/plain", "metadata")).await;
    let port = inside.address.port();
    let targets = [
        (format!("http://127.0.0.1:{port}/latest"), UrlRefusal::Private("127.0.0.1".parse().unwrap())),
        (format!("http://[::ffff:7f00:1]:{port}/"), UrlRefusal::Private("::ffff:127.0.0.1".parse().unwrap())),
        (format!("//127.0.0.1:{port}/"), UrlRefusal::Private("127.0.0.1".parse().unwrap())),
        (format!("http://files.example.com:{port}/"), UrlRefusal::Private("127.0.0.1".parse().unwrap())),
        (format!("http://localhost:{port}/"), UrlRefusal::LocalName("localhost".to_owned())),
        ("file:///etc/passwd".to_owned(), UrlRefusal::Scheme("file".to_owned())),
    ];
    for (target, refusal) in targets {
        let location = target.clone();
        let outside = Stand::start(move |_, _| redirect(302, &location)).await;
        let error = error_of(&fetcher_for(outside.address), &outside.base()).await;
        assert_eq!(error, FetchError::Refused(refusal), "{target}");
    }
    assert_eq!(inside.seen().len(), 0);
}

#[tokio::test]
async fn an_exception_holds_for_its_name_and_port_only() {
    let stand = Stand::start(|_, _| answer(200, "image/png", "bytes")).await;
    let other = Stand::start(|_, _| answer(200, "image/png", "other")).await;
    let exception = format!("simulator:{}", stand.address.port());
    let fetcher = fetcher_with(leading_to(&["127.0.0.1"]), &[exception]);
    let fetched = fetcher.fetch(&format!("http://simulator:{}/a", stand.address.port())).await.unwrap();
    assert_eq!(whole(fetched).await, "bytes");
    let error = error_of(&fetcher, &format!("http://simulator:{}/a", other.address.port())).await;
    assert_eq!(error, FetchError::Refused(UrlRefusal::LocalName("simulator".to_owned())));
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let stand = Stand::start(|seen, _| match seen.target.trim_start_matches('/').parse::<u32>() {
        Ok(0) => answer(200, "image/png", "found"),
        Ok(left) => redirect(307, &format!("/{}", left - 1)),
        Err(_) => redirect(302, "/again"),
    })
    .await;
    let fetcher = fetcher_for(stand.address);
    assert_eq!(whole(fetcher.fetch(&format!("{}/5", stand.base())).await.unwrap()).await, "found");
    let error = error_of(&fetcher, &format!("{}/6", stand.base())).await;
    assert_eq!(error, FetchError::Unavailable { message: "more than 5 redirects".to_owned() });
}

#[tokio::test]
async fn statuses_have_their_meaning() {
    for status in [401, 403, 404, 410] {
        let stand = Stand::start(move |_, _| answer(status, "text/plain", "no")).await;
        let error = error_of(&fetcher_for(stand.address), &stand.base()).await;
        assert_eq!(error, FetchError::Gone { status });
    }
    for status in [206, 304, 400, 429, 500, 503] {
        let stand = Stand::start(move |_, _| answer(status, "text/plain", "")).await;
        let error = error_of(&fetcher_for(stand.address), &stand.base()).await;
        assert!(matches!(error, FetchError::Unavailable { .. }), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable() {
    let port = free_port().await;
    let fetcher = fetcher_with(leading_to(&["127.0.0.1"]), &[format!("127.0.0.1:{port}")]);
    let error = error_of(&fetcher, &format!("http://127.0.0.1:{port}/a")).await;
    assert!(matches!(error, FetchError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_page_is_passed_through() {
    let stand = Stand::start(|_, _| answer(200, "text/html", "<html>")).await;
    let fetched = fetcher_for(stand.address).fetch(&stand.base()).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("text/html"));
    assert_eq!(whole(fetched).await, "<html>");
}

#[tokio::test]
async fn a_truncated_file_ends_with_an_error() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this".to_owned();
    let stand = RudeStand::start(Rude::Say(text)).await;
    let fetched = fetcher_for(stand.address).fetch(&stand.base()).await.unwrap();
    assert_eq!(fetched.length_bytes, Some(1_000));
    collected(fetched.body).await.unwrap_err();
}

#[tokio::test]
async fn an_unfinished_chunked_file_ends_with_an_error() {
    let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonly\r\n".to_owned();
    let stand = RudeStand::start(Rude::Say(text)).await;
    let fetched = fetcher_for(stand.address).fetch(&stand.base()).await.unwrap();
    collected(fetched.body).await.unwrap_err();
}

#[tokio::test]
async fn a_stalled_file_ends_with_an_error() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this".to_owned();
    let stand = RudeStand::start(Rude::SayAndHang(text)).await;
    let fetched = fetcher_for(stand.address).fetch(&stand.base()).await.unwrap();
    let broken = collected(fetched.body).await.unwrap_err();
    assert!(broken.message.contains("no byte came for 300 ms"), "{broken}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let stand = RudeStand::start(Rude::SayAndHang(String::new())).await;
    let error = error_of(&fetcher_for(stand.address), &stand.base()).await;
    assert_eq!(error, FetchError::Unavailable { message: "no complete answer within 600 ms".to_owned() });
}

#[tokio::test]
async fn a_file_that_drips_for_ever_is_given_up() {
    let stand = Stand::start(|_, _| {
        let drip = futures::stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            Some((Ok::<_, io::Error>("x"), ()))
        });
        answer(200, "image/png", axum::body::Body::from_stream(drip))
    })
    .await;
    let fetched = fetcher_for(stand.address).fetch(&stand.base()).await.unwrap();
    let broken = collected(fetched.body).await.unwrap_err();
    assert!(broken.message.contains("did not end within 1500 ms"), "{broken}");
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_or_cut_off() {
    let announced = Stand::start(|_, _| answer(200, "image/png", "x".repeat(10_001))).await;
    let error = error_of(&fetcher_for(announced.address), &announced.base()).await;
    let message = "the file has 10001 bytes, the limit is 10000".to_owned();
    assert_eq!(error, FetchError::Unavailable { message });

    let silent = Stand::start(|_, _| {
        let chunks = futures::stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(1_000)));
        answer(200, "image/png", axum::body::Body::from_stream(chunks))
    })
    .await;
    let fetched = fetcher_for(silent.address).fetch(&silent.base()).await.unwrap();
    let broken = collected(fetched.body).await.unwrap_err();
    assert!(broken.message.contains("larger than the limit of 10000 bytes"), "{broken}");
}
