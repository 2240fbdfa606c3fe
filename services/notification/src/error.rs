//! What can go wrong in notification beyond what every service has: facts, free of transport.

use std::time::Duration;

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_runtime::Failure;
use tonic::Code;

/// A failure of notification's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An e-mail is to be sent and no sender is enabled.
    #[error("no e-mail sender is enabled")]
    EmailSenderMissing,
    /// The e-mail sender is not enabled, or is deleted.
    #[error("the e-mail sender {id} is not enabled")]
    EmailSenderDisabled {
        /// The sender.
        id: String,
    },
    /// The e-mail server answered and said no.
    #[error("the e-mail server refused the e-mail: {detail}")]
    EmailRefused {
        /// Its reply code.
        reply_code: i32,
        /// What it said.
        detail: String,
    },
    /// The e-mail server cannot be reached.
    #[error("the e-mail server cannot be reached: {detail}")]
    EmailServerUnreachable {
        /// Why.
        detail: String,
    },
    /// The delivery is not in a state that can be tried again.
    #[error("the delivery is {}: only one that failed or was given up can be tried again", state.to_lowercase())]
    DeliveryNotRetryable {
        /// The delivery.
        id: String,
        /// The state, as the contract names it.
        state: &'static str,
    },
    /// The reader of an inbox stream does not keep up.
    #[error("the reader fell too far behind: watch again from the last position seen")]
    InboxReaderTooSlow,
    /// Somebody, or everybody together, has as many inbox streams open as may be.
    #[error("{whose} as many inbox streams open as may be ({limit}): end one, or try again later")]
    TooManyStreams {
        /// Who has them, with the verb.
        whose: &'static str,
        /// How many may be open.
        limit: usize,
    },
    /// There is no key to encrypt a secret with.
    #[error(
        "no key to encrypt secrets with is configured: give this service CONCIERGE_SECRET_KEYS, 32 random bytes in base64"
    )]
    SecretKeyMissing,
    /// The popup note is shown every time.
    #[error("the popup note {id} cannot be dismissed")]
    PopupNotDismissible {
        /// The note.
        id: String,
    },
    /// ticket-rule says that this is no draft of a ticket.
    #[error("{message}")]
    DraftRefused {
        /// Its status code.
        code: Code,
        /// Its reason.
        reason: Reason,
        /// What it said.
        message: String,
        /// The fields at fault.
        violations: Violations,
    },
}

concierge_runtime::failure!(Error);

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::EmailSenderMissing
            | Self::EmailSenderDisabled { .. }
            | Self::EmailRefused { .. }
            | Self::DeliveryNotRetryable { .. }
            | Self::SecretKeyMissing
            | Self::PopupNotDismissible { .. } => Code::FailedPrecondition,
            Self::DraftRefused { code, .. } => *code,
            Self::EmailServerUnreachable { .. } => Code::Unavailable,
            Self::InboxReaderTooSlow | Self::TooManyStreams { .. } => Code::ResourceExhausted,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::EmailSenderMissing => Reason::EmailSenderMissing,
            Self::EmailSenderDisabled { .. } => Reason::EmailSenderDisabled,
            Self::EmailRefused { .. } => Reason::EmailRefused,
            Self::EmailServerUnreachable { .. } => Reason::EmailServerUnreachable,
            Self::DeliveryNotRetryable { .. } => Reason::DeliveryNotRetryable,
            Self::InboxReaderTooSlow => Reason::ReaderTooSlow,
            Self::TooManyStreams { .. } => Reason::Overloaded,
            Self::SecretKeyMissing => Reason::SecretKeyMissing,
            Self::PopupNotDismissible { .. } => Reason::PopupNotDismissible,
            Self::DraftRefused { reason, .. } => *reason,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::EmailSenderDisabled { id } | Self::PopupNotDismissible { id } => vec![("id", id.clone())],
            Self::EmailRefused { reply_code, .. } => vec![("reply_code", reply_code.to_string())],
            Self::DeliveryNotRetryable { id, state } => vec![("id", id.clone()), ("state", (*state).to_owned())],
            _ => Vec::new(),
        }
    }

    fn violations(&self) -> Violations {
        match self {
            Self::DraftRefused { violations, .. } => violations.clone(),
            _ => Violations::default(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::EmailServerUnreachable { .. } | Self::TooManyStreams { .. } => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}
