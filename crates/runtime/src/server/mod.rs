//! The server: transport, health, reflection, and a stop that loses no request.
//!
//! Stopping goes like this. Health says NOT_SERVING. The listener is closed. Every connection is told to send nothing
//! new (GOAWAY); requests under way are answered, streams that have nothing to say end with UNAVAILABLE. Peers that do
//! not close by themselves are closed once they have no request under way; whatever is left after the grace is cut off.

mod body;
mod connection;
mod health;
mod metrics;
mod reflection;
mod tls;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::METHODS;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tonic_reflection::pb::v1alpha::server_reflection_server::ServerReflectionServer as ServerReflectionServerAlpha;
use tower::{Layer, Service};

pub use health::{Health, LIVENESS, READINESS};
pub use metrics::serve_metrics;
pub use tls::{Tls, TlsError};

use crate::auth::Verifier;
use crate::clock::SharedClock;
use crate::error::Error;
use connection::Shared;
use reflection::{Contract, Reflection};

/// Who may ask for reflection.
#[derive(Clone, Debug)]
pub enum ReflectionAccess {
    /// Nobody.
    Off,
    /// Everybody.
    Public,
    /// Who has a token of any kind.
    WithToken(Arc<Verifier>, SharedClock),
}

/// What a server is made of.
#[derive(Debug)]
pub struct ServerOptions<L> {
    /// Where it listens.
    pub listener: TcpListener,
    /// The certificate to serve with; `None`: in the clear.
    pub tls: Option<Tls>,
    /// The services. Which encodings of requests they accept is theirs to say (see [`served!`](crate::served)).
    pub routes: Routes,
    /// The full names of the services, for reflection: see [`services_of`].
    pub services: Vec<&'static str>,
    /// What health tells; the server itself says that it is not ready any more when it stops.
    pub health: Health,
    /// Who may ask for reflection.
    pub reflection: ReflectionAccess,
    /// What goes around all services, health and reflection included.
    pub layer: L,
    /// The most connections at once; more wait to be accepted.
    pub connections: usize,
    /// The most requests under way on a connection.
    pub streams_per_connection: u32,
    /// Stops the server.
    pub shutdown: CancellationToken,
    /// How long requests under way may go on after that.
    pub grace: Duration,
}

/// The gRPC services of a service of the suite, as the contract names them: those of its own package, and the feed.
pub fn services_of(service: &str) -> Vec<&'static str> {
    let package = format!("concierge.{}.v1.", service.replace('-', "_"));
    let mut names: Vec<&'static str> = METHODS
        .iter()
        .map(|method| method.service)
        .filter(|name| name.starts_with(&package) || *name == "concierge.event.v1.EventFeedService")
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Serves until told to stop, and until what was under way is done or the grace is over.
pub async fn serve<L>(options: ServerOptions<L>) -> io::Result<()>
where
    L: Layer<Routes>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send,
{
    let ServerOptions { listener, tls, routes, services, health, reflection, layer, shutdown, grace, .. } = options;
    let routes = with_reflection(routes.add_service(health.server()), &services, reflection).prepare();
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared {
        service: layer.layer(routes),
        tls,
        http2: connection::http2(options.streams_per_connection),
        greeting: connection::GREETING,
        stop: stop.clone(),
    });

    let places = Arc::new(Semaphore::new(options.connections));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Lets go of those that are done.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        let _place = place;
                        connection::serve(shared, stream, peer).await;
                    });
                }
                // One connection that broke before it began, or no more file descriptors: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        error = accepting => return error,
    }

    let end = Instant::now() + grace;
    health.stop().await;
    drop(listener);
    stop.cancel();
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout_at(end, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "the grace is over: cutting off what is left");
        connections.shutdown().await;
    }
    Ok(())
}

fn with_reflection(routes: Routes, services: &[&str], access: ReflectionAccess) -> Routes {
    let (verifier, clock) = match access {
        ReflectionAccess::Off => return routes,
        ReflectionAccess::Public => (None, None),
        ReflectionAccess::WithToken(verifier, clock) => (Some(verifier), Some(clock)),
    };
    let check = move |request: tonic::Request<()>| {
        if let (Some(verifier), Some(clock)) = (&verifier, &clock) {
            verifier.verify_headers(request.metadata().as_ref(), clock.now()).map_err(Error::Token)?;
        }
        Ok(request)
    };
    let reflection = Reflection(Arc::new(Contract::new(services)));
    let v1 = crate::served!(ServerReflectionServer::new(reflection.clone()));
    let alpha = crate::served!(ServerReflectionServerAlpha::new(reflection));
    routes
        .add_service(tonic::service::interceptor::InterceptedService::new(v1, check.clone()))
        .add_service(tonic::service::interceptor::InterceptedService::new(alpha, check))
}
