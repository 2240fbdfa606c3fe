//! Secrets that a service has to keep and to read again, such as the password of an e-mail server: encrypted in the
//! database, under a key that is not in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// What sealed texts begin with: how they were sealed.
const FORM: &str = "c1";

/// Encrypts with the first of its keys, decrypts with any: a new key goes in front of the old ones.
#[derive(Default)]
pub struct Sealer {
    keys: Vec<Key>,
}

struct Key {
    /// What tells it from others, in what it sealed.
    id: String,
    key: LessSafeKey,
}

/// Why a secret cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No key is configured.
    #[error("there is no key to encrypt secrets with")]
    NoKey,
    /// It was sealed with a key that is not here, or it was changed since.
    #[error("the stored secret cannot be read with the keys that are configured")]
    Unreadable,
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes")]
    NoRandomness,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Sealer").field("keys", &ids).finish()
    }
}

impl Sealer {
    /// A sealer of these keys of 32 random bytes; without any it seals nothing.
    pub fn new(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let keys = keys.into_iter().filter_map(|bytes| {
            let id = STANDARD.encode(&Sha256::digest([b"concierge seal".as_slice(), &bytes].concat())[..6]);
            let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok()?;
            Some(Key { id, key: LessSafeKey::new(key) })
        });
        Self { keys: keys.collect() }
    }

    /// A sealer of keys as they stand in a file or a variable: 32 bytes in base64. `None` when one is anything else.
    pub fn from_base64<'a>(keys: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let keys = keys.into_iter().map(|text| STANDARD.decode(text.trim()).ok()?.try_into().ok());
        Some(Self::new(keys.collect::<Option<Vec<[u8; 32]>>>()?))
    }

    /// Encrypts a secret. `purpose` is bound to it: what was sealed for one is not opened for another.
    pub fn seal(&self, purpose: &str, secret: &str) -> Result<String, SealError> {
        let key = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut bytes = secret.as_bytes().to_vec();
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut bytes)
            .map_err(|_| SealError::Unreadable)?;
        Ok(format!("{FORM}.{}.{}.{}", key.id, STANDARD.encode(nonce), STANDARD.encode(bytes)))
    }

    /// Decrypts what [`Sealer::seal`] made.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<SecretString, SealError> {
        let mut parts = sealed.split('.');
        let (Some(FORM), Some(id), Some(nonce), Some(bytes), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Unreadable);
        };
        let key = self.keys.iter().find(|key| key.id == id).ok_or(SealError::Unreadable)?;
        let nonce = STANDARD.decode(nonce).ok().and_then(|n| <[u8; NONCE_LEN]>::try_from(n).ok());
        let nonce = Nonce::assume_unique_for_key(nonce.ok_or(SealError::Unreadable)?);
        let mut bytes = STANDARD.decode(bytes).map_err(|_| SealError::Unreadable)?;
        let open = key.key.open_in_place(nonce, Aad::from(purpose), &mut bytes).map_err(|_| SealError::Unreadable)?;
        std::str::from_utf8(open).map(SecretString::from).map_err(|_| SealError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{SealError, Sealer};

    #[test]
    fn opens_what_it_sealed_and_nothing_that_was_changed() {
        let sealer = Sealer::new([[1; 32]]);
        let sealed = sealer.seal("password", "hunter2").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_ne!(sealed, sealer.seal("password", "hunter2").unwrap());
        assert_eq!(sealer.open("password", &sealed).unwrap().expose_secret(), "hunter2");
        assert_eq!(sealer.open("another purpose", &sealed).unwrap_err(), SealError::Unreadable);
        let (head, _) = sealed.rsplit_once('.').unwrap();
        assert_eq!(sealer.open("password", &format!("{head}.AAAA")).unwrap_err(), SealError::Unreadable);
        assert_eq!(sealer.open("password", "hunter2").unwrap_err(), SealError::Unreadable);
    }

    #[test]
    fn a_new_key_in_front_of_the_old_one_opens_what_the_old_one_sealed() {
        let sealed = Sealer::new([[1; 32]]).seal("password", "hunter2").unwrap();
        let both = Sealer::new([[2; 32], [1; 32]]);
        assert_eq!(both.open("password", &sealed).unwrap().expose_secret(), "hunter2");
        assert_eq!(Sealer::new([[2; 32]]).open("password", &sealed).unwrap_err(), SealError::Unreadable);
        assert_eq!(Sealer::default().seal("password", "hunter2").unwrap_err(), SealError::NoKey);
        assert!(!format!("{both:?}").contains("[2"));
        assert!(Sealer::from_base64(["AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).is_some());
        assert!(Sealer::from_base64(["AgIC"]).is_none());
    }
}
