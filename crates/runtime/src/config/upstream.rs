//! Where another service of the suite is.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::reader::Reader;

/// Where another service is, and how to reach it.
#[derive(Clone, Debug)]
pub struct UpstreamAddress {
    endpoint: Endpoint,
}

impl UpstreamAddress {
    /// A channel to it. Connects when first used, and again whenever the connection breaks.
    pub fn channel(&self) -> Channel {
        self.endpoint.connect_lazy()
    }

    /// The address.
    pub fn uri(&self) -> &http::Uri {
        self.endpoint.uri()
    }
}

pub(super) fn read(r: &mut Reader, address: &str, ca: &str) -> Option<UpstreamAddress> {
    let certificate = r.text_file(ca);
    let wants_ca = r.get::<String>(ca).is_some();
    let text: String = r.get(address)?;
    let Some(endpoint) = Endpoint::from_shared(text.clone()).ok().filter(|_| super::is_url(&text)) else {
        r.problem(address, format!("is {text:?}; write a URL such as http://127.0.0.1:7101"));
        return None;
    };
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true);
    if endpoint.uri().scheme_str() != Some("https") {
        if wants_ca {
            r.problem(ca, format!("is set, but {address} is not an https URL"));
        }
        return Some(UpstreamAddress { endpoint });
    }
    if !wants_ca {
        r.problem(ca, format!("is not set, but {address} is an https URL"));
    }
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate?));
    match endpoint.tls_config(tls) {
        Ok(endpoint) => Some(UpstreamAddress { endpoint }),
        Err(_) => {
            r.problem(ca, "names a file that is not a certificate in PEM");
            None
        }
    }
}
