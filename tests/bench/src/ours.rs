//! Our side: the directory with every layer, telemetry and authentication on; or the layers around the echo.

use std::sync::Arc;
use std::time::Duration;

use concierge_directory::Directory;
use concierge_runtime::Service;
use concierge_runtime::auth::{KeySet, Signer};
use concierge_runtime::clock::SystemClock;
use concierge_runtime::layers::{Admission, Layers};
use concierge_runtime::program::{Host, HostOptions, Program};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// The issuer of the bench's tokens.
pub const ISSUER: &str = "bench";

/// The key of the bench: the same in the server's and the client's process.
pub fn signer() -> anyhow::Result<Arc<Signer>> {
    Ok(Arc::new(Signer::from_pem(&Signer::generate([5; 32]), ISSUER)?))
}

/// A host for the directory on a database.
pub fn host(pool: PgPool) -> anyhow::Result<Host> {
    let signer = signer()?;
    let keys = Arc::new(KeySet::new([signer.public_key().clone()]));
    Ok(Host::new(HostOptions {
        service: Service::new(Directory::NAME, pool.clone(), pool, Arc::new(SystemClock)),
        signer,
        keys,
        providers: Vec::new(),
        directory: None,
        ticket_rule: None,
        stop: CancellationToken::new(),
    }))
}

/// The layers as a service has them by default.
pub fn layers(host: &Host) -> Layers {
    Layers {
        verifier: Arc::clone(&host.verifier),
        clock: Arc::clone(host.clock()),
        admission: Admission::new(1024),
        default_deadline: Duration::from_secs(10),
        max_deadline: Duration::from_secs(60),
        max_message: 4 << 20,
    }
}
