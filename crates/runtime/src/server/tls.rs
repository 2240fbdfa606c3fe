//! TLS: certificate and key, with the ring provider.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

/// What a server shows to those who connect.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// What is wrong with a certificate or its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// No certificate.
    #[error("names a file without a certificate in PEM")]
    NoCertificate,
    /// No key.
    #[error("names a file without a private key in PEM")]
    NoKey,
    /// They do not belong together, or are of a kind that cannot be used.
    #[error("names a private key that does not go with the certificate")]
    Mismatch,
}

impl TlsError {
    /// The setting at fault.
    pub fn setting(self) -> &'static str {
        match self {
            Self::NoCertificate => "tls.certificate_file",
            Self::NoKey | Self::Mismatch => "tls.key_file",
        }
    }
}

impl Tls {
    /// Reads a certificate chain and its private key, both in PEM.
    pub fn from_pem(certificate: &str, key: &SecretString) -> Result<Self, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| TlsError::NoKey)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|_| TlsError::Mismatch)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    pub(super) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        Arc::clone(&self.config).into()
    }
}
