//! An e-mail as bytes: the same bytes in every attempt.

use chrono::{DateTime, Utc};
use concierge_runtime::html::sanitize;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, MultiPartKind, SinglePart};
use lettre::{Address, Message};

use super::{subject, text};
use crate::email_sender::store::Account;

/// What an e-mail says, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Email<'a> {
    /// With angle brackets.
    pub(crate) message_id: &'a str,
    pub(crate) to_address: &'a str,
    pub(crate) to_name: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) body_html: &'a str,
    pub(crate) time: DateTime<Utc>,
}

/// An e-mail ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct PreparedEmail {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) bytes: Vec<u8>,
}

/// Why an e-mail cannot be made, for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnEmail {
    #[error("the address {0} cannot be used in an e-mail")]
    Address(String),
    #[error("{0} holds a line break")]
    LineBreak(&'static str),
    #[error("the e-mail cannot be put together: {0}")]
    Form(#[from] lettre::error::Error),
}

impl Email<'_> {
    /// Puts it together for a sender.
    pub(crate) fn prepare(&self, sender: &Account) -> Result<PreparedEmail, NotAnEmail> {
        let from = mailbox(&sender.from_name, &sender.from_address)?;
        let reply_to = match sender.reply_to_address.as_str() {
            "" => None,
            address => Some(mailbox("", address)?),
        };
        let to = mailbox(self.to_name, self.to_address)?;
        let body = sanitize(self.body_html);
        // Made from the Message-ID, so that every attempt sends the same bytes.
        let boundary: String = self.message_id.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        let parts = MultiPart::builder()
            .kind(MultiPartKind::Alternative)
            .boundary(boundary)
            .singlepart(SinglePart::plain(text::of_html(&body)))
            .singlepart(SinglePart::html(document(&body)));
        let mut message = Message::builder()
            .message_id(Some(one_line(self.message_id, "the Message-ID")?.to_owned()))
            .date(self.time.into())
            .from(from.clone())
            .to(to.clone())
            .header(subject::Subject(one_line(self.subject, "the subject")?.to_owned()))
            .header(AutoSubmitted);
        if let Some(reply_to) = reply_to {
            message = message.reply_to(reply_to);
        }
        let message = message.multipart(parts)?;
        Ok(PreparedEmail { from: from.email, to: to.email, bytes: message.formatted() })
    }
}

fn mailbox(name: &str, address: &str) -> Result<Mailbox, NotAnEmail> {
    let name = one_line(name, "the name beside an address")?;
    let bad = || NotAnEmail::Address(address.to_owned());
    // In an address nothing can be encoded: one that some programs would decode is none.
    if address.contains(subject::ENCODED) {
        return Err(bad());
    }
    let address: Address = address.parse().map_err(|_| bad())?;
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address))
}

/// A header ends at a line break: nothing that has one goes into it.
fn one_line<'a>(text: &'a str, what: &'static str) -> Result<&'a str, NotAnEmail> {
    if text.contains(char::is_control) { Err(NotAnEmail::LineBreak(what)) } else { Ok(text) }
}

fn document(body: &str) -> String {
    format!("<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{body}\n</body></html>\n")
}

/// Tells programs that no person wrote this, so that they do not answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use concierge_proto::notification::EmailSecurity;
    use uuid::Uuid;

    use super::*;

    fn sender() -> Account {
        Account {
            id: Uuid::from_u128(1),
            version: 1,
            host: "localhost".to_owned(),
            port: 25,
            security: EmailSecurity::None,
            username: String::new(),
            password: String::new(),
            from_address: "desk@example.com".to_owned(),
            from_name: "Example Desk".to_owned(),
            reply_to_address: "answers@example.com".to_owned(),
            enabled: true,
            ca_certificate: String::new(),
        }
    }

    fn email<'a>(subject: &'a str, name: &'a str) -> Email<'a> {
        Email {
            message_id: "<0195e0c4@example.com>",
            to_address: "ann@example.org",
            to_name: name,
            subject,
            body_html: "<p>Größe &amp; <b>Farbe</b></p><script>x()</script>",
            time: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn has_every_header_and_is_the_same_each_time() {
        let prepared = email("Ticket 7: Größe", "Ann Lee").prepare(&sender()).unwrap();
        assert_eq!(prepared.bytes, email("Ticket 7: Größe", "Ann Lee").prepare(&sender()).unwrap().bytes);
        let text = String::from_utf8(prepared.bytes).unwrap();
        for header in [
            "Message-ID: <0195e0c4@example.com>",
            "From: \"Example Desk\" <desk@example.com>",
            "To: \"Ann Lee\" <ann@example.org>",
            "Reply-To: answers@example.com",
            "Auto-Submitted: auto-generated",
            "Subject: Ticket 7: =?utf-8?",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        ] {
            assert!(text.contains(header), "{header} is not in\n{text}");
        }
        assert!(text.is_ascii() && !text.contains("script"));
    }

    #[test]
    fn text_that_looks_encoded_is_encoded_itself() {
        let trick = "=?utf-8?q?Invoice=0d=0aBcc:_all@d.example?=";
        let from = Account { from_name: trick.to_owned(), ..sender() };
        for subject in [trick.to_owned(), format!("Ticket 7: {trick} {}", "more ".repeat(60)), "x".repeat(900)] {
            let prepared = email(&subject, trick).prepare(&from).unwrap();
            let message = String::from_utf8(prepared.bytes).unwrap();
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            assert!(!head.contains("Invoice=0d"), "{head}");
            assert!(head.lines().all(|line| line.len() <= 78), "{head}");
            let told: Vec<&str> =
                head.lines().filter(|l| !l.starts_with(' ')).map(|l| l.split(':').next().unwrap()).collect();
            let headers = ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "Reply-To"];
            assert_eq!(told[..headers.len()], headers);
        }
        let (local, domain) = ("=?utf-8?q?a=0d=0aBcc:b?=", "example.org");
        let address = format!("{local}@{domain}");
        let bad = Email { to_address: &address, ..email("a", "") };
        assert!(matches!(bad.prepare(&sender()), Err(NotAnEmail::Address(_))));
    }

    #[test]
    fn refuses_a_line_break_in_a_header() {
        assert!(matches!(email("a\r\nBcc: x@example.com", "").prepare(&sender()), Err(NotAnEmail::LineBreak(_))));
        assert!(matches!(email("a", "Ann\nBcc: x@example.com").prepare(&sender()), Err(NotAnEmail::LineBreak(_))));
        let bad = Email { to_address: "no address", ..email("a", "") };
        assert!(matches!(bad.prepare(&sender()), Err(NotAnEmail::Address(_))));
    }
}
