//! The public keys that tokens are checked with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature, VerifyingKey};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::AlgorithmParameters;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

/// Why a key was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key where a public one belongs.
    #[error("it is a private key; a public key (-----BEGIN PUBLIC KEY-----) is wanted here")]
    Private,
    /// Neither Ed25519 nor RSA, or damaged.
    #[error("it is not an Ed25519 or RSA public key in PEM")]
    Unreadable,
    /// Too short to be safe.
    #[error("an RSA key needs 2048 bits or more")]
    TooShort,
    /// The JSON is no key set.
    #[error("it is not a JSON Web Key Set: {0}")]
    NotJwks(String),
    /// The private key cannot be read.
    #[error("it is not an Ed25519 private key in PEM (PKCS #8, -----BEGIN PRIVATE KEY-----)")]
    NotPrivate,
}

/// A key in JSON (RFC 7517, RFC 8037). Members that we do not use are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// The type: `OKP` or `RSA`.
    pub kty: String,
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The algorithm: `EdDSA` or `RS256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// What it is for: `sig`.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// The curve of an `OKP` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The key itself, of an `OKP` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The modulus of an RSA key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of an RSA key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// Keys in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A public key with its id and the only algorithm it may be used with.
#[derive(Clone)]
pub struct PublicKey {
    id: String,
    material: Material,
    jwk: Jwk,
}

#[derive(Clone)]
enum Material {
    Ed25519(VerifyingKey),
    Rsa(DecodingKey),
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("id", &self.id).field("algorithm", &self.algorithm()).finish()
    }
}

impl PublicKey {
    /// Reads a public key in PEM. Its id is derived from it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if let Ok(key) = VerifyingKey::from_public_key_pem(pem.trim()) {
            return Self::ed25519(key, None);
        }
        // A certificate would pass for a key here; what is in it may be anything.
        if !pem.contains("PUBLIC KEY") {
            return Err(KeyError::Unreadable);
        }
        let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::Unreadable)?;
        let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&key, Some(jsonwebtoken::Algorithm::RS256))
            .map_err(|_| KeyError::Unreadable)?;
        let AlgorithmParameters::RSA(parameters) = jwk.algorithm else { return Err(KeyError::Unreadable) };
        Self::rsa(&parameters.n, &parameters.e, None)
    }

    /// Takes a key from JSON. `Ok(None)`: a key of a kind, or for a use, that is not ours; key sets may have such.
    pub fn from_jwk(jwk: &Jwk) -> Result<Option<Self>, KeyError> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        let alg = jwk.alg.as_deref();
        let kid = jwk.kid.clone().filter(|kid| !kid.is_empty());
        match (jwk.kty.as_str(), jwk.crv.as_deref(), &jwk.x, &jwk.n, &jwk.e) {
            ("OKP", Some("Ed25519"), Some(x), _, _) if matches!(alg, None | Some("EdDSA" | "Ed25519")) => {
                let bytes = URL_SAFE_NO_PAD.decode(x).map_err(|_| KeyError::Unreadable)?;
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Unreadable)?;
                let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Unreadable)?;
                Self::ed25519(key, kid).map(Some)
            }
            ("RSA", _, _, Some(n), Some(e)) if matches!(alg, None | Some("RS256")) => Self::rsa(n, e, kid).map(Some),
            _ => Ok(None),
        }
    }

    /// Takes the keys of a key set that are for us.
    pub fn from_jwks(json: &str) -> Result<Vec<Self>, KeyError> {
        let set: Jwks = serde_json::from_str(json).map_err(|error| KeyError::NotJwks(error.to_string()))?;
        set.keys.iter().filter_map(|jwk| Self::from_jwk(jwk).transpose()).collect()
    }

    pub(super) fn ed25519(key: VerifyingKey, id: Option<String>) -> Result<Self, KeyError> {
        if key.is_weak() {
            return Err(KeyError::Unreadable);
        }
        let id = id.unwrap_or_else(|| derive_id(key.as_bytes()));
        let jwk = Jwk {
            kty: "OKP".to_owned(),
            kid: Some(id.clone()),
            alg: Some("EdDSA".to_owned()),
            usage: Some("sig".to_owned()),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(key.as_bytes())),
            ..Jwk::default()
        };
        Ok(Self { id, material: Material::Ed25519(key), jwk })
    }

    fn rsa(n: &str, e: &str, id: Option<String>) -> Result<Self, KeyError> {
        let modulus = URL_SAFE_NO_PAD.decode(n).map_err(|_| KeyError::Unreadable)?;
        let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
        if significant < 256 {
            return Err(KeyError::TooShort);
        }
        let key = DecodingKey::from_rsa_components(n, e).map_err(|_| KeyError::Unreadable)?;
        let id = id.unwrap_or_else(|| derive_id(&modulus));
        let jwk = Jwk {
            kty: "RSA".to_owned(),
            kid: Some(id.clone()),
            alg: Some("RS256".to_owned()),
            usage: Some("sig".to_owned()),
            n: Some(n.to_owned()),
            e: Some(e.to_owned()),
            ..Jwk::default()
        };
        Ok(Self { id, material: Material::Rsa(key), jwk })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The only algorithm it may be used with.
    pub fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Ed25519(_) => "EdDSA",
            Material::Rsa(_) => "RS256",
        }
    }

    /// True when a token's header may name this algorithm for this key.
    pub(super) fn allows(&self, algorithm: &str) -> bool {
        // RFC 9864 gives EdDSA with this curve a second name.
        algorithm == self.algorithm() || (algorithm == "Ed25519" && matches!(self.material, Material::Ed25519(_)))
    }

    /// The key in JSON.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// True when the signature (in base64url) is this key's over the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        match &self.material {
            Material::Ed25519(key) => URL_SAFE_NO_PAD
                .decode(signature)
                .ok()
                .and_then(|bytes| Signature::from_slice(&bytes).ok())
                .is_some_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Material::Rsa(key) => {
                jsonwebtoken::crypto::verify(signature, message, key, jsonwebtoken::Algorithm::RS256).unwrap_or(false)
            }
        }
    }
}

/// The id of a key that brings none: the first 16 hex digits of the SHA-256 of the public key.
fn derive_id(public: &[u8]) -> String {
    Sha256::digest(public).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The suite's public keys by id: those of the configuration, and those learned from directory while running. Readers
/// take no lock.
#[derive(Debug)]
pub struct KeySet {
    configured: Vec<Arc<PublicKey>>,
    learned: Mutex<Vec<Arc<PublicKey>>>,
    by_id: ArcSwap<HashMap<String, Arc<PublicKey>>>,
    generation: AtomicU64,
    missed: Notify,
}

impl KeySet {
    /// The keys of the configuration, which nothing replaces.
    pub fn new(configured: impl IntoIterator<Item = PublicKey>) -> Self {
        let configured: Vec<Arc<PublicKey>> = configured.into_iter().map(Arc::new).collect();
        let by_id = ArcSwap::from_pointee(index(&configured, &[]));
        Self { configured, learned: Mutex::default(), by_id, generation: AtomicU64::new(0), missed: Notify::new() }
    }

    /// Replaces what was learned while running. A learned key never hides a configured one.
    pub fn learn(&self, keys: impl IntoIterator<Item = PublicKey>) {
        let keys: Vec<Arc<PublicKey>> = keys.into_iter().map(Arc::new).collect();
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.iter().map(|k| &k.jwk).eq(keys.iter().map(|k| &k.jwk)) {
            return;
        }
        self.by_id.store(Arc::new(index(&self.configured, &keys)));
        *learned = keys;
        // After the swap: whoever sees the old number saw, at worst, the new keys.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Finds a key.
    pub fn get(&self, id: &str) -> Option<Arc<PublicKey>> {
        self.by_id.load().get(id).cloned()
    }

    /// Notes that a token of the suite names a key that is not here: it may be new.
    pub(super) fn miss(&self) {
        self.missed.notify_one();
    }

    /// Ends when a token named a key that was not here.
    pub(crate) async fn missed(&self) {
        self.missed.notified().await;
    }

    /// All keys in JSON, the configured ones first.
    pub fn jwks(&self) -> Jwks {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<Jwk> = Vec::new();
        for key in self.configured.iter().chain(learned.iter()) {
            if !keys.iter().any(|k| k.kid.as_deref() == Some(key.id())) {
                keys.push(key.jwk.clone());
            }
        }
        Jwks { keys }
    }

    /// Changes whenever the keys do.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

fn index(configured: &[Arc<PublicKey>], learned: &[Arc<PublicKey>]) -> HashMap<String, Arc<PublicKey>> {
    learned.iter().chain(configured).map(|key| (key.id.clone(), Arc::clone(key))).collect()
}
