//! What can go wrong in ticket-rule beyond what every service has: facts, free of transport.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_runtime::Failure;
use tonic::Code;

/// A failure of ticket-rule's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would leave no active status of a category that every installation needs.
    #[error("{name} is the last active status of category {category}: add or activate another one first")]
    LastStatusOfCategory {
        /// The status.
        id: String,
        /// Its name.
        name: String,
        /// Its category, without prefix.
        category: &'static str,
    },
    /// The new order leaves rules out, or names some that are not there.
    #[error("the order leaves out {missing} live rules and names {unknown} that are none: list them again")]
    RuleOrderIncomplete {
        /// How many live rules it does not name.
        missing: usize,
        /// How many ids it names that are no live rules.
        unknown: usize,
    },
    /// The rules to import were made from another revision.
    #[error(
        "the rules are at revision {current} and the file was made from {base}: export them again and repeat the change"
    )]
    RuleSetStale {
        /// The revision that the rules were made from.
        base: i64,
        /// The revision there is.
        current: i64,
    },
    /// The rule asked for is not enabled.
    #[error("the rule {name} is not enabled")]
    RuleDisabled {
        /// The rule.
        id: String,
        /// Its name.
        name: String,
    },
    /// Nothing was ever evaluated for the ticket.
    #[error("ticket {number} has no evaluation")]
    TicketNotEvaluated {
        /// The ticket.
        id: String,
        /// Its number.
        number: i64,
    },
    /// Another record has the same id from the same system.
    #[error("{field}: another one has this id from the same source")]
    ExternalIdTaken {
        /// The field.
        field: &'static str,
        /// The other record; `None` when the caller may not read it.
        id: Option<String>,
    },
    /// Callers of this kind may not set the field, or not to this value.
    #[error("callers of kind {kind} cannot set {field}")]
    FieldNotForCaller {
        /// The caller's kind.
        kind: &'static str,
        /// The field.
        field: String,
    },
    /// The status has another category than the call needs.
    #[error("{field}: the status is of category {category}; this needs one of category CLOSED")]
    StatusOfOtherCategory {
        /// The field.
        field: &'static str,
        /// The status.
        id: String,
        /// Its category, without its prefix.
        category: &'static str,
    },
    /// Fields newly refer to records that are not active.
    #[error("{}", .0.iter().map(|v| format!("{} {}", v.field, v.description)).collect::<Vec<_>>().join("; "))]
    ReferenceInactive(Violations),
    /// The ticket was merged into another one.
    #[error("ticket {number} was merged into ticket {target}: change that one")]
    TicketMerged {
        /// The ticket.
        id: String,
        /// Its number.
        number: i64,
        /// The number of the ticket that it was merged into.
        target: i64,
        /// The id of that ticket.
        merged_into_id: String,
    },
    /// Tickets of different customers cannot be merged.
    #[error(
        "ticket {number} is of another customer than ticket {target}: the users of one would see what the other wrote"
    )]
    TicketOfOtherCustomer {
        /// The ticket.
        id: String,
        /// Its number.
        number: i64,
        /// The number of the ticket that it should be merged into.
        target: i64,
        /// Its customer.
        customer_id: String,
    },
    /// The ticket is closed.
    #[error("ticket {number} is closed: give it a status of another category to reopen it")]
    TicketClosed {
        /// The ticket.
        id: String,
        /// Its number.
        number: i64,
    },
}

concierge_runtime::failure!(Error);

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::LastStatusOfCategory { .. }
            | Self::RuleOrderIncomplete { .. }
            | Self::RuleDisabled { .. }
            | Self::TicketNotEvaluated { .. }
            | Self::TicketClosed { .. }
            | Self::TicketMerged { .. }
            | Self::TicketOfOtherCustomer { .. }
            | Self::ReferenceInactive(_) => Code::FailedPrecondition,
            Self::RuleSetStale { .. } => Code::Aborted,
            Self::ExternalIdTaken { .. } => Code::AlreadyExists,
            Self::FieldNotForCaller { .. } => Code::PermissionDenied,
            Self::StatusOfOtherCategory { .. } => Code::InvalidArgument,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::LastStatusOfCategory { .. } => Reason::LastStatusOfCategory,
            Self::RuleOrderIncomplete { .. } => Reason::RuleOrderIncomplete,
            Self::RuleSetStale { .. } => Reason::RuleSetStale,
            Self::RuleDisabled { .. } => Reason::RuleDisabled,
            Self::TicketNotEvaluated { .. } => Reason::TicketNotEvaluated,
            Self::TicketClosed { .. } => Reason::TicketClosed,
            Self::TicketMerged { .. } => Reason::TicketMerged,
            Self::TicketOfOtherCustomer { .. } => Reason::TicketOfOtherCustomer,
            Self::ExternalIdTaken { .. } => Reason::ExternalIdTaken,
            Self::FieldNotForCaller { .. } => Reason::FieldNotForCaller,
            Self::StatusOfOtherCategory { .. } => Reason::StatusOfOtherCategory,
            Self::ReferenceInactive(_) => Reason::ReferenceInactive,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::LastStatusOfCategory { id, category, .. } => {
                vec![("id", id.clone()), ("category", (*category).to_owned())]
            }
            Self::RuleOrderIncomplete { .. } => Vec::new(),
            Self::RuleSetStale { current, .. } => vec![("revision", current.to_string())],
            Self::RuleDisabled { id, .. } | Self::TicketNotEvaluated { id, .. } | Self::TicketClosed { id, .. } => {
                vec![("id", id.clone())]
            }
            Self::TicketMerged { id, merged_into_id, .. } => {
                vec![("id", id.clone()), ("merged_into_id", merged_into_id.clone())]
            }
            Self::TicketOfOtherCustomer { id, customer_id, .. } => {
                vec![("id", id.clone()), ("customer_id", customer_id.clone())]
            }
            Self::ExternalIdTaken { field, id } => {
                std::iter::once(("field", (*field).to_owned())).chain(id.clone().map(|id| ("id", id))).collect()
            }
            Self::FieldNotForCaller { kind, field } => vec![("kind", (*kind).to_owned()), ("field", field.clone())],
            Self::StatusOfOtherCategory { field, id, category } => {
                vec![("field", (*field).to_owned()), ("id", id.clone()), ("category", (*category).to_owned())]
            }
            Self::ReferenceInactive(_) => Vec::new(),
        }
    }

    fn violations(&self) -> Violations {
        match self {
            Self::ReferenceInactive(violations) => violations.clone(),
            Self::ExternalIdTaken { field, .. } => {
                Violations::one(*field, "another one has this id from the same source")
            }
            Self::StatusOfOtherCategory { field, .. } => Violations::one(*field, "must be a status of category CLOSED"),
            _ => Violations::default(),
        }
    }
}
