//! A certificate of the simulator's own, and what TLS needs to use it.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::options::TlsOptions;

/// Names that lead to this machine wherever it is.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes the certificate, writes it where the options say, and returns it as PEM beside what serves it.
pub(crate) async fn set_up(options: &TlsOptions) -> anyhow::Result<(String, TlsAcceptor)> {
    let names = OWN_NAMES.iter().map(|name| (*name).to_owned()).chain(options.names.iter().cloned());
    let mut parameters =
        CertificateParams::new(names.collect::<Vec<_>>()).context("a name cannot stand in a certificate")?;
    parameters.distinguished_name.push(DnType::CommonName, "atelier-simulator");
    let key = KeyPair::generate().context("failed to make the key of the certificate")?;
    let certificate = parameters.self_signed(&key).context("failed to sign the certificate")?;
    let pem = certificate.pem();
    if let Some(path) = &options.certificate {
        let write = tokio::fs::write(path, &pem).await;
        write.with_context(|| format!("failed to write the certificate to {}", path.display()))?;
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let cryptography = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(cryptography)
        .with_safe_default_protocol_versions()
        .context("failed to choose the versions of TLS")?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .context("failed to use the certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((pem, TlsAcceptor::from(Arc::new(config))))
}
