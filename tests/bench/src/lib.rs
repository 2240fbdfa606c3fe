//! Benchmarks against peers: every figure is a ratio of two things measured in turn in one run.
//!
//! `cargo bench -p concierge-bench` prints the table and writes it as `concierge-bench.json` in the target folder;
//! `-- read`, `-- layers` or `-- rules` runs a part. The server has one core, client and database the other; the server's CPU time
//! per call is reported beside the ratio.

pub mod bare;
pub mod load;
pub mod ours;
pub mod pair;
pub mod process;
pub mod row;

/// The path that both sides of every pair answer.
pub const PATH: &str = "/concierge.directory.v1.CustomerService/GetCustomer";
