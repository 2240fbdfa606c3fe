//! Ports for processes that are started, killed and started again.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports in a row that nobody listens on, the first of them; below those that the system gives to outgoing
/// connections: between two lives of a process none of these may take one.
pub fn free(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        // Tests that run at the same time are processes with numbers close to each other.
        let offset = (std::process::id().wrapping_mul(97) + step) % 10_000;
        let first = 20_000 + u16::try_from(offset).expect("less than 10,000");
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}
