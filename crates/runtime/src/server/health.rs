//! Health over `grpc.health.v1`: is the process alive, is it ready, and is each of its services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The name under which health says whether the process is alive. Serving as long as it answers at all.
pub const LIVENESS: &str = "liveness";
/// The name under which health says whether requests should be sent here.
pub const READINESS: &str = "readiness";

/// What health tells of a server. Clones speak for the same server.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
    stopping: Arc<AtomicBool>,
}

impl Health {
    /// The health of a server with these gRPC services: alive, not ready yet.
    pub async fn new(services: &[&'static str]) -> Self {
        let health = Self { reporter: HealthReporter::new(), services: services.to_vec(), stopping: Arc::default() };
        health.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        health.set_ready(false).await;
        health
    }

    /// Says whether requests should be sent here: when the database answers, until the server stops. The readiness of no
    /// other service matters.
    pub async fn set_ready(&self, ready: bool) {
        let ready = ready && !self.stopping.load(Ordering::SeqCst);
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in ["", READINESS].iter().chain(&self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Says that the server stops: it does not become ready again, whoever says so.
    pub(super) async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.set_ready(false).await;
    }

    pub(super) fn server(&self) -> HealthServer<HealthService> {
        crate::served!(HealthServer::new(HealthService::from_health_reporter(self.reporter.clone())))
    }
}
