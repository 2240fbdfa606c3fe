//! Reading one value, and saying in plain words what is wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    List(Vec<String>),
}

impl Raw {
    /// As one text.
    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Err("is empty".to_owned()),
            Self::Text(text) => Ok(text.trim()),
            Self::List(_) => Err("is a list; one value is wanted".to_owned()),
        }
    }
}

/// What can be read from a value.
pub(super) trait Value: Sized {
    fn read(raw: &Raw) -> Result<Self, String>;
}

impl Value for String {
    fn read(raw: &Raw) -> Result<Self, String> {
        raw.text().map(str::to_owned)
    }
}

impl Value for PathBuf {
    fn read(raw: &Raw) -> Result<Self, String> {
        raw.text().map(Self::from)
    }
}

impl Value for Vec<String> {
    /// A list, or one text with commas: environment variables know no lists.
    fn read(raw: &Raw) -> Result<Self, String> {
        Ok(match raw {
            Raw::List(list) => list.clone(),
            Raw::Text(text) => text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        })
    }
}

impl Value for bool {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw.text()? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("is {other:?}; write true or false")),
        }
    }
}

impl Value for u32 {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        text.parse().map_err(|_| format!("is {text:?}; write a whole number"))
    }
}

impl Value for f64 {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        text.parse().ok().filter(|n: &Self| n.is_finite()).ok_or_else(|| format!("is {text:?}; write a number"))
    }
}

impl Value for SocketAddr {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        text.parse()
            .map_err(|_| format!("is {text:?}; write an address and a port, such as 127.0.0.1:7101 or [::]:7101"))
    }
}

impl Value for Duration {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        let wrong = || format!("is {text:?}; write a duration with its unit, such as 250ms, 10s or 2m");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self::from_millis).ok_or_else(wrong)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) struct Bytes(pub(super) u32);

impl Value for Bytes {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        let wrong = || format!("is {text:?}; write a size, such as 4194304, 512KiB or 4MiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let factor = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}
