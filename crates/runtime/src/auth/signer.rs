//! Signing tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey};
use secrecy::{ExposeSecret, SecretString};

use super::claims::Claims;
use super::keys::{KeyError, PublicKey};

/// Signs tokens with an Ed25519 key.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
    issuer: String,
    /// The encoded header, with the dot after it: the same for every token.
    header: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id()).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a private key in PEM (PKCS #8); `issuer` goes into the tokens.
    pub fn from_pem(pem: &SecretString, issuer: impl Into<String>) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem.expose_secret().trim()).map_err(|_| KeyError::NotPrivate)?;
        let public = PublicKey::ed25519(key.verifying_key(), None)?;
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"JWT"}}"#, public.id());
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        Ok(Self { key, public, issuer: issuer.into(), header })
    }

    /// Makes a new private key, in PEM, from 32 random bytes.
    pub fn generate(random: [u8; 32]) -> SecretString {
        // Without the public key in it, which is version 1 of PKCS #8: OpenSSL 3.0 and others read no other.
        let key = KeypairBytes { secret_key: random, public_key: None };
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key has a PEM form");
        SecretString::from(pem.as_str())
    }

    /// The public key in PEM, for the configuration of those who check.
    pub fn public_pem(&self) -> String {
        self.key.verifying_key().to_public_key_pem(LineEnding::LF).expect("an Ed25519 key has a PEM form")
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The key's id.
    pub fn key_id(&self) -> &str {
        self.public.id()
    }

    /// Who the tokens say issued them.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs. The claims go in as they are; their `iss` should be [`Signer::issuer`].
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_any(claims)
    }

    pub(super) fn sign_any(&self, claims: &impl serde::Serialize) -> String {
        let claims = serde_json::to_vec(claims).expect("claims have a JSON form");
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_private_keys_with_and_without_their_public_key() {
        let random = [7; 32];
        let first = Signer::generate(random);
        let second = SigningKey::from_bytes(&random).to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_ne!(first.expose_secret(), second.as_str());
        let second = SecretString::from(second.as_str());
        let [first, second] = [first, second].map(|pem| Signer::from_pem(&pem, "concierge").unwrap());
        assert_eq!(first.public_pem(), second.public_pem());
    }

    #[test]
    fn writes_private_keys_in_the_version_that_everybody_reads() {
        let pem = Signer::generate([7; 32]);
        let body: String = pem.expose_secret().lines().filter(|line| !line.starts_with("---")).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        // RFC 8410: version 0, id-Ed25519, the key as an octet string in an octet string, and nothing after it.
        let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        assert_eq!((&der[..16], &der[16..]), (&head[..], &[7; 32][..]));
    }
}
