//! Every RPC of the directory, over its own socket and a Postgres of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod relationship;
