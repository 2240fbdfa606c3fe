//! Speaking SMTP: one connection at a time for an e-mail, kept for the next one, and never a doubt about what the server
//! was told before something went wrong.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use concierge_proto::notification::EmailSecurity;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::message::PreparedEmail;
use crate::email_sender::store::Account;

/// So long a connection is kept for another e-mail.
const IDLE: Duration = Duration::from_secs(20);
/// So many connections to one server are kept.
const KEPT: usize = 8;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest text of what went wrong.
const DETAIL: usize = 500;

/// How an attempt to send an e-mail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server took it, with this reply code.
    Accepted(i32),
    /// The server said no; asking again may help.
    RefusedForNow(i32, String),
    /// The server said no to this e-mail for good.
    Refused(i32, String),
    /// The server did not get all of it.
    Unreachable(String),
    /// The server got all of it and did not answer.
    Unknown(String),
    /// The server does not let the e-mail sender in, with this reply code: its user name or password is wrong.
    NotLetIn(i32, String),
    /// We stopped before the server got anything of the message.
    GivenUp,
}

/// How far an e-mail has come.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the first byte of the message may have left.
    begun: AtomicBool,
    /// Whether the last one may have.
    complete: AtomicBool,
}

/// Open connections that wait for another e-mail, by e-mail sender.
#[derive(Default)]
pub(crate) struct Connections {
    idle: Mutex<HashMap<Uuid, Idle>>,
    roots: Mutex<Vec<Certificate>>,
}

#[derive(Default)]
struct Idle {
    /// Of the e-mail sender when they were opened.
    version: i64,
    connections: Vec<(AsyncSmtpConnection, Instant)>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// Whether a text is what can be trusted as roots of servers' certificates: one or more in PEM.
pub(crate) fn are_certificates(pem: &str) -> bool {
    let read = |pem: &str| {
        let roots = Certificate::from_pem(pem.as_bytes())?;
        TlsParameters::builder("localhost".to_owned()).add_root_certificate(roots).build()
    };
    pem.contains("-----BEGIN CERTIFICATE-----") && read(pem).is_ok()
}

/// Sends an e-mail within a hard limit. Once `stop` ends, it is given up unless the server is getting the message
/// already.
pub(crate) async fn send_within(
    limit: Duration,
    connections: &Connections,
    account: &Account,
    password: Option<&SecretString>,
    email: &PreparedEmail,
    stop: impl Future<Output = ()>,
) -> Outcome {
    let progress = Progress::default();
    let given_up = async {
        stop.await;
        if progress.begun.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = given_up => Outcome::GivenUp,
        sent = tokio::time::timeout(limit, connections.send(account, password, email, &progress)) => match sent {
            Ok(outcome) => outcome,
            Err(_) => {
                let what = format!("no answer within {} s", limit.as_secs_f32());
                if progress.complete.load(Ordering::SeqCst) {
                    Outcome::Unknown(what)
                } else {
                    Outcome::Unreachable(what)
                }
            }
        }
    }
}

impl Connections {
    /// Trusts these roots beside the usual ones.
    pub(crate) fn trust(&self, pem: &str) -> bool {
        match Certificate::from_pem(pem.as_bytes()) {
            Ok(certificate) => {
                self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(certificate);
                true
            }
            Err(_) => false,
        }
    }

    async fn send(
        &self,
        account: &Account,
        password: Option<&SecretString>,
        email: &PreparedEmail,
        progress: &Progress,
    ) -> Outcome {
        // A connection that was kept may have died; nothing was said about this e-mail on it, so another is opened.
        if let Some(connection) = self.take(account)
            && let Ok(outcome) = self.converse(connection, account, email, progress).await
        {
            return outcome;
        }
        match open(account, password, self.tls(account)).await {
            Err(outcome) => outcome,
            Ok(connection) => self
                .converse(connection, account, email, progress)
                .await
                .unwrap_or_else(|Lost(why)| Outcome::Unreachable(why)),
        }
    }

    /// Hands one e-mail over. Lost: the connection ended before the server said anything about it.
    async fn converse(
        &self,
        mut connection: AsyncSmtpConnection,
        account: &Account,
        email: &PreparedEmail,
        progress: &Progress,
    ) -> Result<Outcome, Lost> {
        if let Err(error) = connection.command(Mail::new(Some(email.from.clone()), Vec::new())).await {
            return match reply(&error) {
                Some((421, text)) => Err(Lost(text)),
                Some((code, text)) => Ok(refused(connection, code, text)),
                None => Err(Lost(detail(&error))),
            };
        }
        if let Err(error) = connection.command(Rcpt::new(email.to.clone(), Vec::new())).await {
            return Ok(stopped(connection, &error, progress));
        }
        if let Err(error) = connection.command(Data).await {
            return Ok(stopped(connection, &error, progress));
        }
        progress.begun.store(true, Ordering::SeqCst);
        // Asked for after all of the message was written, and before the dot that ends it.
        let last_byte = std::iter::from_fn(|| {
            progress.complete.store(true, Ordering::SeqCst);
            None
        });
        match connection.message_iter(std::iter::once(email.bytes.as_slice()).chain(last_byte)).await {
            Ok(response) => {
                self.keep(account, connection);
                Ok(Outcome::Accepted(u16::from(response.code()).into()))
            }
            Err(error) => Ok(stopped(connection, &error, progress)),
        }
    }

    fn tls(&self, account: &Account) -> Result<Option<TlsParameters>, lettre::transport::smtp::Error> {
        if account.security == EmailSecurity::None {
            return Ok(None);
        }
        let mut tls = TlsParameters::builder(account.host.clone());
        for root in self.roots.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tls = tls.add_root_certificate(root.clone());
        }
        if !account.ca_certificate.is_empty() {
            tls = tls.add_root_certificate(Certificate::from_pem(account.ca_certificate.as_bytes())?);
        }
        tls.build().map(Some)
    }

    /// Closes what waits in vain: connections of e-mail senders that are gone, disabled or changed, and those that were
    /// kept for long enough.
    pub(crate) fn sweep(&self, accounts: &[Account]) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, idle| {
            let used = accounts.iter().any(|a| a.id == *id && a.enabled && a.version == idle.version);
            let (kept, gone) = idle.connections.drain(..).partition(|(_, since)| used && since.elapsed() < IDLE);
            idle.connections = kept;
            let gone: Vec<(AsyncSmtpConnection, Instant)> = gone;
            gone.into_iter().for_each(|(old, _)| close(old));
            !idle.connections.is_empty()
        });
    }

    fn take(&self, account: &Account) -> Option<AsyncSmtpConnection> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.get_mut(&account.id).filter(|idle| idle.version == account.version)?;
        while let Some((connection, since)) = idle.connections.pop() {
            if since.elapsed() < IDLE {
                return Some(connection);
            }
            close(connection);
        }
        None
    }

    fn keep(&self, account: &Account, connection: AsyncSmtpConnection) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.entry(account.id).or_default();
        if idle.version != account.version {
            // The sender was changed: what goes another way now is closed.
            idle.version = account.version;
            idle.connections.drain(..).for_each(|(old, _)| close(old));
        }
        if idle.connections.len() < KEPT {
            idle.connections.push((connection, Instant::now()));
        } else {
            close(connection);
        }
    }
}

/// The connection ended before the server said anything about the e-mail.
struct Lost(String);

/// Connects, secures, authenticates. What a server says no to here is not the e-mail, so it may be asked again.
async fn open(
    account: &Account,
    password: Option<&SecretString>,
    tls: Result<Option<TlsParameters>, lettre::transport::smtp::Error>,
) -> Result<AsyncSmtpConnection, Outcome> {
    let before = |error: lettre::transport::smtp::Error| match reply(&error) {
        Some((code, text)) => Outcome::RefusedForNow(code, text),
        None => Outcome::Unreachable(detail(&error)),
    };
    let tls = tls.map_err(before)?;
    let hello = ClientId::default();
    let server = (account.host.as_str(), account.port);
    let at_once = tls.clone().filter(|_| account.security == EmailSecurity::Tls);
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, at_once, None).await.map_err(before)?;
    if account.security == EmailSecurity::Starttls {
        if !connection.can_starttls() {
            close(connection);
            return Err(Outcome::Unreachable("the server does not offer STARTTLS".to_owned()));
        }
        if let Some(tls) = tls {
            connection.starttls(tls, &hello).await.map_err(before)?;
        }
    }
    if !account.username.is_empty() && connection.is_encrypted() {
        let secret = password.map(|p| p.expose_secret().to_owned()).unwrap_or_default();
        let credentials = Credentials::new(account.username.clone(), secret);
        if let Err(error) = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await {
            close(connection);
            // What the server says here may repeat what it was told.
            let refused = "the server refused the user name or password".to_owned();
            return Err(match reply(&error) {
                Some((code, _)) if code >= 500 => Outcome::NotLetIn(code, refused),
                Some((code, _)) => Outcome::RefusedForNow(code, refused),
                None => Outcome::Unreachable("the server did not let us authenticate".to_owned()),
            });
        }
    }
    Ok(connection)
}

/// What it means that something failed once the server had heard of the e-mail.
fn stopped(connection: AsyncSmtpConnection, error: &lettre::transport::smtp::Error, progress: &Progress) -> Outcome {
    match reply(error) {
        Some((code, text)) => refused(connection, code, text),
        None if progress.complete.load(Ordering::SeqCst) => Outcome::Unknown(detail(error)),
        None => Outcome::Unreachable(detail(error)),
    }
}

fn refused(connection: AsyncSmtpConnection, code: i32, text: String) -> Outcome {
    close(connection);
    if code >= 500 { Outcome::Refused(code, text) } else { Outcome::RefusedForNow(code, text) }
}

/// Says goodbye, without anybody waiting for the answer.
fn close(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(2), connection.quit()).await;
    });
}

/// What the server answered, if it did.
fn reply(error: &lettre::transport::smtp::Error) -> Option<(i32, String)> {
    let code = error.status()?;
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Some((u16::from(code).into(), short(&text)))
}

/// An error with its causes, in words.
fn detail(error: &lettre::transport::smtp::Error) -> String {
    short(&error.to_string())
}

fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL).collect()
}
