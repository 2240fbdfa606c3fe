//! Who is calling: tokens, the keys that check them, what was taken back, and the tokens this service signs itself.
//!
//! A token is a JWT signed with EdDSA or RS256. The algorithm belongs to the key, never to the token, so neither `none`
//! nor a public key used as a shared secret gets anywhere. [`Verifier`] is the one way in.

mod cache;
mod caller;
mod claims;
mod keys;
mod openid;
mod revocations;
mod service_tokens;
mod signer;
mod token_error;
mod verifier;

#[cfg(test)]
mod tests;

pub use caller::{Caller, kind_name, kind_named, parse_actor};
pub use claims::{Audience, Claims, ScopeClaim};
pub use keys::{Jwk, Jwks, KeyError, KeySet, PublicKey};
pub use openid::OpenIdProvider;
pub use revocations::{Revocation, RevocationTarget, Revocations};
pub use service_tokens::{AUTHORIZATION, ON_BEHALF_OF, ServiceTokens};
pub use signer::Signer;
pub use token_error::TokenError;
pub use verifier::{Verifier, VerifierOptions};

use chrono::TimeDelta;

/// The longest life a token may have; a longer one is refused. Revocations are kept for as long.
pub const LONGEST_LIFE: TimeDelta = TimeDelta::minutes(15);

/// How far the clock of whoever issues tokens may be ahead of ours.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(10);
