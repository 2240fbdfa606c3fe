//! The crate as a caller sees it.
#![allow(clippy::unwrap_used, missing_docs)]

mod agree;
mod compiling;
mod explaining;
mod index;
mod linting;
mod operators;
mod oracle;
mod random;
mod records;
mod source;
mod table;
mod walking;
mod world;
