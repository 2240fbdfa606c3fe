//! Page tokens: where the last page ended, bound to the query it was a page of, and signed.
//!
//! A token is URL-safe base64 of: a version, the fingerprint of the query, the order values of the last row, and an
//! HMAC-SHA256 of all that. It can be read by whoever has it, and holds nothing that the page did not show.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use concierge_proto::Value;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const VERSION: u8 = 1;
const FINGERPRINT: usize = 16;
const SIGNATURE: usize = 32;
/// Keeps signatures of page tokens apart from whatever else the key signs.
const PURPOSE: &[u8] = b"concierge page token";

/// What is wrong with a page token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    /// Not as it was given out: cut, changed, or signed with another key.
    #[error("the page token is damaged, or is not one of this service; start at the first page")]
    Damaged,
    /// Given out by a release that wrote other tokens or knew other fields.
    #[error("the page token is of an earlier release; start at the first page")]
    Outdated,
    /// Given out for another query.
    #[error("the page token belongs to a list with another filter, order or show_deleted; start at the first page")]
    OtherQuery,
}

/// What a query is, in few bytes: equal queries have equal ones, others never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT]);

impl Fingerprint {
    /// The fingerprint of these parts, in this order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&hash.finalize()[..FINGERPRINT]);
        Self(fingerprint)
    }
}

/// Seals and opens page tokens with a key that the replicas of a service share.
#[derive(Clone)]
pub struct PageTokens {
    signer: Hmac<Sha256>,
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageTokens")
    }
}

impl PageTokens {
    /// Tokens signed with this key.
    pub fn new(key: [u8; 32]) -> Self {
        // HMAC fills short keys up with zeros; doing it here leaves no length that could be refused.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(&key);
        Self { signer: Hmac::new(&block.into()).chain_update(PURPOSE) }
    }

    /// Makes the token of the page after a row with these values. Lists and messages are no such values.
    pub fn seal(&self, fingerprint: Fingerprint, values: &[Value]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&fingerprint.0);
        for value in values {
            write_value(value, &mut bytes);
        }
        let signature = self.signer.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The values that the token of this query holds.
    pub fn open(&self, token: &str, fingerprint: Fingerprint) -> Result<Vec<Value>, PageTokenError> {
        let (of, values) = self.read(token)?;
        if of == fingerprint { Ok(values) } else { Err(PageTokenError::OtherQuery) }
    }

    /// Looks whether the token is one of ours, when it cannot be said of which query it should be.
    pub(super) fn verify(&self, token: &str) -> Result<(), PageTokenError> {
        self.read(token).map(|_| ())
    }

    fn read(&self, token: &str) -> Result<(Fingerprint, Vec<Value>), PageTokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Damaged)?;
        let (content, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(PageTokenError::Damaged)?;
        // Compares in constant time.
        self.signer.clone().chain_update(content).verify_slice(signature).map_err(|_| PageTokenError::Damaged)?;
        // What follows was written by a release of ours.
        let content = content.strip_prefix(&[VERSION]).ok_or(PageTokenError::Outdated)?;
        let (fingerprint, mut rest) = content.split_first_chunk().ok_or(PageTokenError::Outdated)?;
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(read_value(&mut rest).ok_or(PageTokenError::Outdated)?);
        }
        Ok((Fingerprint(*fingerprint), values))
    }
}

const NULL: u8 = 0;
const TEXT: u8 = 1;
const ID: u8 = 2;
const BOOL: u8 = 3;
const INT: u8 = 4;
const FLOAT: u8 = 5;
const TIME: u8 = 6;

fn write_value(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        // Nothing is ordered by lists and messages.
        Value::Null | Value::Texts(_) | Value::Ids(_) | Value::Ints(_) | Value::Bytes(_) => bytes.push(NULL),
        Value::Text(text) => {
            bytes.push(TEXT);
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Id(id) => {
            bytes.push(ID);
            bytes.extend_from_slice(id.as_bytes());
        }
        Value::Bool(b) => bytes.extend_from_slice(&[BOOL, u8::from(*b)]),
        Value::Int(number) => {
            bytes.push(INT);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::Float(number) => {
            bytes.push(FLOAT);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::Time(time) => {
            bytes.push(TIME);
            bytes.extend_from_slice(&time.timestamp_micros().to_be_bytes());
        }
    }
}

fn read_value(bytes: &mut &[u8]) -> Option<Value> {
    Some(match take::<1>(bytes)? {
        [NULL] => Value::Null,
        [TEXT] => {
            let length = usize::try_from(u64::from_be_bytes(take(bytes)?)).ok()?;
            let (text, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Value::Text(str::from_utf8(text).ok()?.to_owned())
        }
        [ID] => Value::Id(Uuid::from_bytes(take(bytes)?)),
        [BOOL] => Value::Bool(take::<1>(bytes)? == [1]),
        [INT] => Value::Int(i64::from_be_bytes(take(bytes)?)),
        [FLOAT] => Value::Float(f64::from_be_bytes(take(bytes)?)),
        [TIME] => Value::Time(DateTime::from_timestamp_micros(i64::from_be_bytes(take(bytes)?))?),
        _ => return None,
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
