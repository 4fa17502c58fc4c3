//! The SDK's client from our settings: one HTTP client with rustls and ring, no second TLS stack.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, Credentials, Region, RequestChecksumCalculation, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use crate::settings::S3Settings;

/// The client that talks to the store, and the one that only signs URLs.
pub(crate) struct Clients {
    pub(crate) store: Client,
    pub(crate) signing: Client,
}

/// Builds both clients. Only the environment's default chain is asked anything here; the store is not.
pub(crate) async fn connect(settings: &S3Settings) -> Clients {
    let http_client = http_client(settings.endpoint.as_deref());
    let builder = match (&settings.access_key, &settings.secret_key) {
        (Some(access_key), Some(secret_key)) => Builder::new()
            .behavior_version(behavior())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(Credentials::new(access_key, secret_key.expose(), None, None, "settings")),
        _ => Builder::from(
            &aws_config::defaults(behavior())
                .region(Region::new(settings.region.clone()))
                .http_client(http_client.clone())
                .load()
                .await,
        ),
    };
    let builder = builder
        .http_client(http_client)
        .force_path_style(settings.path_style)
        // The signature covers the payload's digest already, and many stores know none of the newer checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(settings.max_attempts)
                .with_initial_backoff(Duration::from_millis(200)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(settings.connect_timeout())
                .operation_timeout(settings.transfer_timeout())
                .build(),
        );
    let with_endpoint = |endpoint: Option<&String>| {
        let mut builder = builder.clone();
        if let Some(endpoint) = endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Client::from_conf(builder.build())
    };
    Clients {
        store: with_endpoint(settings.endpoint.as_ref()),
        signing: with_endpoint(settings.public_endpoint.as_ref().or(settings.endpoint.as_ref())),
    }
}

/// Pinned: a newer SDK must not change timeouts or checksums by itself.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// With a plain-http endpoint no certificates are read, so that a container without a CA bundle works.
fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring));
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let context =
        TlsContext::builder().with_trust_store(TrustStore::default().with_native_roots(!is_plain)).build();
    match context {
        Ok(context) => builder.tls_context(context).build_https(),
        // Building a context without additional names checks nothing; the default context is the same but for the roots.
        Err(_) => builder.build_https(),
    }
}
