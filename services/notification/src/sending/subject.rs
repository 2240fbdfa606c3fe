//! The subject of an e-mail, as a header that no program reads as anything else.

use lettre::message::header::{self, Header, HeaderName, HeaderValue};

/// With this an encoded word begins (RFC 2047), wherever it comes from.
pub(super) const ENCODED: &str = "=?";
/// What stands around the text of an encoded word.
const AROUND: (&str, &str) = ("=?utf-8?q?", "?=");
/// The longest line in which there may be an encoded word.
const LONGEST: usize = 76;
/// The name of the header with what follows it.
const BEFORE: usize = "Subject: ".len();

/// A subject of one line.
#[derive(Clone, Debug)]
pub(super) struct Subject(pub(super) String);

impl Header for Subject {
    fn name() -> HeaderName {
        header::Subject::name()
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    /// Lettre writes what is ASCII as it is: also what a reader would then decode, to line breaks for example, and words
    /// that no line holds. A subject with such a word is encoded as a whole.
    fn display(&self) -> HeaderValue {
        let text = self.0.clone();
        let too_long = |word: &str| BEFORE + word.len() > LONGEST;
        if text.contains(ENCODED) || text.split(' ').any(too_long) {
            let encoded = encode(&text);
            return HeaderValue::dangerous_new_pre_encoded(Self::name(), text, encoded);
        }
        HeaderValue::new(Self::name(), text)
    }
}

/// Encoded words, each on a line of its own and none with a part of a character.
fn encode(text: &str) -> String {
    let room = LONGEST - BEFORE - AROUND.0.len() - AROUND.1.len();
    let mut words = vec![String::new()];
    for c in text.chars() {
        let written = quoted(c);
        match words.last_mut() {
            Some(word) if word.len() + written.len() <= room => word.push_str(&written),
            _ => words.push(written),
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("{}{word}{}", AROUND.0, AROUND.1)).collect();
    words.join("\r\n ")
}

/// A character as encoded words have it: the bytes of all but letters and digits as numbers.
fn quoted(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("={byte:02X}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use lettre::message::header::Headers;

    use super::Subject;

    fn written(subject: &str) -> String {
        let mut headers = Headers::new();
        headers.set(Subject(subject.to_owned()));
        headers.to_string()
    }

    /// As a program that reads e-mails does it.
    fn read(header: &str) -> String {
        let words = header.trim_end().trim_start_matches("Subject: ").split("\r\n ");
        let mut bytes = Vec::new();
        for word in words {
            let text = word.strip_prefix("=?utf-8?q?").and_then(|w| w.strip_suffix("?=")).unwrap();
            let mut rest = text;
            while let Some(c) = rest.chars().next() {
                let length = if c == '=' { 3 } else { 1 };
                match c {
                    '=' => bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap()),
                    '_' => bytes.push(b' '),
                    other => bytes.push(u8::try_from(other).unwrap()),
                }
                rest = &rest[length..];
            }
            // Every word is whole characters.
            std::str::from_utf8(&bytes).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn is_written_plain_where_that_is_safe() {
        assert_eq!(written("Ticket 7: = ? and ?="), "Subject: Ticket 7: = ? and ?=\r\n");
        assert_eq!(written("Größe"), "Subject: =?utf-8?b?R3LDtsOfZQ==?=\r\n");
    }

    #[test]
    fn what_would_be_decoded_or_is_too_long_for_a_line_is_encoded_and_reads_the_same() {
        for subject in [
            "=?utf-8?q?Invoice=0d=0aBcc:_all@d.example?=".to_owned(),
            "Re: x=?us-ascii?Q?a b?=y _ = Größe 中文 \u{1f600}".to_owned(),
            format!("Größe {} =?", "\u{1f600}".repeat(80)),
            "x".repeat(2000),
        ] {
            let header = written(&subject);
            assert_eq!(read(&header), subject);
            assert!(header.is_ascii() && header.lines().all(|line| line.len() <= 76), "{header}");
        }
    }
}
