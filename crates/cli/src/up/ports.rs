//! The ports that `up` listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

use super::SEATS;

/// How far above its gRPC port a service's metrics are.
const METRICS: u16 = 10;

/// The highest first port that leaves room for the others.
pub(crate) const HIGHEST: u16 = u16::MAX - METRICS - SEATS.len() as u16 + 1;

/// Where the service in this seat serves gRPC.
pub(crate) fn grpc(first: u16, seat: u16) -> u16 {
    first + seat
}

/// Where the service in this seat serves metrics.
pub(crate) fn metrics(first: u16, seat: u16) -> u16 {
    first + METRICS + seat
}

/// Names every port that somebody else listens on: told here, before anything is started, and not by a service that
/// cannot start, or by one that seems to serve because somebody else answers in its place.
pub(crate) fn check(first: u16) -> anyhow::Result<()> {
    let all = (0..).zip(&SEATS).flat_map(|(seat, _)| [grpc(first, seat), metrics(first, seat)]);
    let mut taken: Vec<u16> = all.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()).collect();
    taken.sort_unstable();
    let names: Vec<String> = taken.iter().map(u16::to_string).collect();
    let is = match names.len() {
        0 => return Ok(()),
        1 => "port",
        _ => "ports",
    };
    bail!(
        "{is} {} of 127.0.0.1 {} taken: stop what listens there, or choose other ports with --port",
        names.join(", "),
        if names.len() == 1 { "is" } else { "are" }
    )
}
