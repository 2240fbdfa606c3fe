//! What can go wrong in the directory beyond what every service has: facts, free of transport.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_runtime::Failure;
use tonic::Code;

/// A failure of the directory's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The site is its customer's main one.
    #[error("the site {id} is the main site of its customer: make another one the main site first")]
    SiteIsMain {
        /// The site.
        id: String,
        /// The customer.
        customer_id: String,
    },
    /// The site belongs to another customer.
    #[error("{field}: the site {id} belongs to another customer")]
    SiteOfOtherCustomer {
        /// The field that names it.
        field: String,
        /// The site.
        id: String,
        /// The site's customer.
        customer_id: String,
    },
    /// What the record belongs to is deleted.
    #[error("the {record_type} {id}, to which it belongs, is deleted: undelete that first")]
    ParentDeleted {
        /// The type of what it belongs to.
        record_type: &'static str,
        /// What it belongs to.
        id: String,
    },
    /// A field newly refers to a record that is not active.
    #[error("{field}: the {} {id} is not active", record_type.replace('_', " "))]
    ReferenceInactive {
        /// The field that names it.
        field: String,
        /// The type of record.
        record_type: &'static str,
        /// The record.
        id: String,
    },
    /// The user belongs to another customer than the site named beside it.
    #[error("{field}: the user {id} does not belong to the customer of the site")]
    UserOfOtherCustomer {
        /// The field that names the user.
        field: String,
        /// The user.
        id: String,
        /// The user's customer.
        customer_id: String,
    },
    /// The request would give somebody what the caller does not hold.
    #[error("you cannot grant {permission}, which you do not hold")]
    GrantNotHeld {
        /// The permission.
        permission: String,
    },
    /// A role given or taken would change who is important.
    #[error("this changes who is important, for which you need {permission}")]
    ImportanceNotHeld {
        /// The permission.
        permission: String,
    },
    /// No method and no field of the suite uses these permissions.
    #[error("{}", unknown(.permissions))]
    PermissionUnknown {
        /// The fields that name them, with the names.
        permissions: Vec<UnknownPermission>,
    },
    /// The user is linked to another agent.
    #[error("the user {id} is linked to another agent: unlink it first")]
    UserLinkedToOtherAgent {
        /// The user.
        id: String,
        /// The other agent.
        agent_id: String,
    },
    /// An agent with several users needs a login name on each of them.
    #[error("the user {id} needs a login name, because the agent has several users")]
    LoginNameRequired {
        /// The user without one.
        id: String,
    },
    /// The lead is not a member of the team.
    #[error("{field}: the agent {id} is not a member of the team")]
    AgentNotInTeam {
        /// The field that names the agent.
        field: String,
        /// The agent.
        id: String,
        /// The team; empty for a new one.
        team_id: String,
    },
    /// A token was asked for somebody who counts as inactive.
    #[error("{subject_id} cannot log in: its {inactive} is inactive")]
    SubjectInactive {
        /// Who.
        subject_id: String,
        /// Because of what: `agent`, `user`, `site` or `customer`.
        inactive: &'static str,
    },
    /// A token was asked for a user whose web access level is NONE.
    #[error("{subject_id} cannot log in: its web access level is NONE")]
    WebAccessNone {
        /// Who.
        subject_id: String,
    },
    /// A token was asked for with more than its subject has.
    #[error("{subject_id} does not hold {permission}")]
    ScopeTooWide {
        /// Who.
        subject_id: String,
        /// What it lacks.
        permission: String,
    },
    /// There is no key to sign tokens with, or it was revoked.
    #[error("there is no signing key that is not revoked: configure one")]
    SigningKeyMissing,
    /// The key to revoke is the one that signs now.
    #[error(
        "the key {kid} signs the tokens of this service: give the services another key first, then revoke this one"
    )]
    SigningKeyInUse {
        /// The key.
        kid: String,
    },
}

/// A name that is no permission's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPermission {
    /// The field that names it, such as `agent_role.permissions[2]`.
    pub field: String,
    /// The name.
    pub permission: String,
}

fn unknown(permissions: &[UnknownPermission]) -> String {
    let all: Vec<String> =
        permissions.iter().map(|u| format!("{}: there is no permission {}", u.field, u.permission)).collect();
    all.join("; ")
}

concierge_runtime::failure!(Error);

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::SiteOfOtherCustomer { .. }
            | Self::UserOfOtherCustomer { .. }
            | Self::PermissionUnknown { .. }
            | Self::AgentNotInTeam { .. } => Code::InvalidArgument,
            Self::GrantNotHeld { .. } | Self::ImportanceNotHeld { .. } => Code::PermissionDenied,
            Self::ReferenceInactive { .. }
            | Self::SiteIsMain { .. }
            | Self::ParentDeleted { .. }
            | Self::UserLinkedToOtherAgent { .. }
            | Self::LoginNameRequired { .. }
            | Self::SubjectInactive { .. }
            | Self::WebAccessNone { .. }
            | Self::ScopeTooWide { .. }
            | Self::SigningKeyMissing
            | Self::SigningKeyInUse { .. } => Code::FailedPrecondition,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::ReferenceInactive { .. } => Reason::ReferenceInactive,
            Self::SiteIsMain { .. } => Reason::SiteIsMain,
            Self::SiteOfOtherCustomer { .. } => Reason::SiteOfOtherCustomer,
            Self::ParentDeleted { .. } => Reason::ParentDeleted,
            Self::UserOfOtherCustomer { .. } => Reason::UserOfOtherCustomer,
            Self::GrantNotHeld { .. } | Self::ImportanceNotHeld { .. } => Reason::GrantNotHeld,
            Self::PermissionUnknown { .. } => Reason::PermissionUnknown,
            Self::UserLinkedToOtherAgent { .. } => Reason::UserLinkedToOtherAgent,
            Self::LoginNameRequired { .. } => Reason::LoginNameRequired,
            Self::AgentNotInTeam { .. } => Reason::AgentNotInTeam,
            Self::SubjectInactive { .. } => Reason::SubjectInactive,
            Self::WebAccessNone { .. } => Reason::WebAccessNone,
            Self::ScopeTooWide { .. } => Reason::ScopeTooWide,
            Self::SigningKeyMissing => Reason::SigningKeyMissing,
            Self::SigningKeyInUse { .. } => Reason::SigningKeyInUse,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::ReferenceInactive { field, record_type, id } => {
                vec![("field", field.clone()), ("record_type", (*record_type).to_owned()), ("id", id.clone())]
            }
            Self::UserOfOtherCustomer { field, id, customer_id } => {
                vec![("field", field.clone()), ("id", id.clone()), ("customer_id", customer_id.clone())]
            }
            Self::GrantNotHeld { permission } | Self::ImportanceNotHeld { permission } => {
                vec![("permission", permission.clone())]
            }
            // Of several, the first; the fields at fault name them all.
            Self::PermissionUnknown { permissions } => permissions
                .iter()
                .take(1)
                .flat_map(|u| [("field", u.field.clone()), ("permission", u.permission.clone())])
                .collect(),
            Self::UserLinkedToOtherAgent { id, agent_id } => vec![("id", id.clone()), ("agent_id", agent_id.clone())],
            Self::LoginNameRequired { id } => vec![("id", id.clone())],
            Self::SiteIsMain { id, customer_id } => vec![("id", id.clone()), ("customer_id", customer_id.clone())],
            Self::SiteOfOtherCustomer { field, id, customer_id } => {
                vec![("field", field.clone()), ("id", id.clone()), ("customer_id", customer_id.clone())]
            }
            Self::ParentDeleted { record_type, id } => {
                vec![("parent_type", (*record_type).to_owned()), ("parent_id", id.clone())]
            }
            Self::AgentNotInTeam { field, id, team_id } => {
                vec![("field", field.clone()), ("id", id.clone()), ("team_id", team_id.clone())]
            }
            Self::SubjectInactive { subject_id, inactive } => {
                vec![("subject_id", subject_id.clone()), ("inactive", (*inactive).to_owned())]
            }
            Self::WebAccessNone { subject_id } => vec![("subject_id", subject_id.clone())],
            Self::ScopeTooWide { subject_id, permission } => {
                vec![("subject_id", subject_id.clone()), ("permission", permission.clone())]
            }
            Self::SigningKeyMissing => Vec::new(),
            Self::SigningKeyInUse { kid } => vec![("kid", kid.clone())],
        }
    }

    fn violations(&self) -> Violations {
        match self {
            Self::ReferenceInactive { field, .. } => Violations::one(field.clone(), "must be an active record"),
            Self::UserOfOtherCustomer { field, .. } => {
                Violations::one(field.clone(), "must be a user of the customer of the site")
            }
            Self::SiteOfOtherCustomer { field, .. } => Violations::one(field.clone(), "must be a site of the customer"),
            Self::AgentNotInTeam { field, .. } => Violations::one(field.clone(), "must be a member of the team"),
            Self::PermissionUnknown { permissions } => {
                let mut violations = Violations::default();
                for u in permissions {
                    violations.add(u.field.clone(), format!("there is no permission {}", u.permission));
                }
                violations
            }
            _ => Violations::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use concierge_proto::{CallerKind, Permission};
    use concierge_runtime::Error as Common;

    use super::*;

    const ID: &str = "0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11";

    /// The sentence in quotes that stands before a reason in the contract.
    fn example(reason: Reason) -> String {
        let contract = include_str!("../../../proto/concierge/error/v1/reason.proto");
        let (before, _) = contract.split_once(&format!("  {} = ", reason.as_str_name())).unwrap();
        let comment = before.rsplit("\n\n").next().unwrap().rsplit(";\n").next().unwrap();
        let comment: Vec<&str> = comment.lines().map(|line| line.trim().trim_start_matches("// ")).collect();
        let comment = comment.join(" ");
        comment.trim().strip_suffix('"').unwrap().rsplit_once('"').unwrap().1.to_owned()
    }

    fn check(failure: &dyn Failure) {
        assert_eq!(failure.to_string(), example(failure.reason()), "{:?}", failure.reason());
    }

    #[test]
    fn the_contracts_examples_are_what_is_said() {
        let (id, field) = (|| ID.to_owned(), |field: &str| field.to_owned());
        let unknown =
            UnknownPermission { field: field("agent_role.permissions[2]"), permission: "customer.read".into() };
        for failure in [
            Error::SiteIsMain { id: id(), customer_id: id() },
            Error::SiteOfOtherCustomer { field: field("site_id"), id: id(), customer_id: id() },
            Error::ParentDeleted { record_type: "customer", id: id() },
            Error::ReferenceInactive { field: field("site_id"), record_type: "site", id: id() },
            Error::UserOfOtherCustomer { field: field("user_id"), id: id(), customer_id: id() },
            Error::GrantNotHeld { permission: "tokens.write".into() },
            Error::PermissionUnknown { permissions: vec![unknown] },
            Error::UserLinkedToOtherAgent { id: id(), agent_id: id() },
            Error::LoginNameRequired { id: id() },
            Error::AgentNotInTeam { field: field("team.lead_agent_id"), id: id(), team_id: id() },
            Error::SubjectInactive { subject_id: id(), inactive: "customer" },
            Error::WebAccessNone { subject_id: id() },
            Error::ScopeTooWide { subject_id: id(), permission: "rules.write".into() },
            Error::SigningKeyMissing,
            Error::SigningKeyInUse { kid: "3f1f6f0c2a11d09b".into() },
        ] {
            check(&failure);
        }
    }

    #[test]
    fn the_contracts_examples_are_what_every_service_says() {
        let taken = |reason, field: &str| Common::Taken { reason, field: field.to_owned() };
        let important = Permission::named("importance.write").unwrap();
        let mut invalid = Violations::one("customer.name", "must not be empty");
        invalid.add("customer.currency", "must be an ISO 4217 code such as EUR");
        for failure in [
            Common::Invalid(invalid),
            Common::PermissionMissing { permission: important, field: Some("customer.important".to_owned()) },
            Common::KindRefused { kind: CallerKind::User },
            Common::OnBehalfOfRefused,
            Common::NotFound { record_type: "customer", id: ID.to_owned() },
            Common::because(Reason::ReferenceNotFound, "user.site_id", format!("there is no live site {ID}")),
            Common::StaleEtag { record_type: "customer", id: ID.to_owned() },
            Common::Deleted { record_type: "customer", id: ID.to_owned() },
            Common::NotDeleted { record_type: "customer", id: ID.to_owned() },
            Common::InUse { record_type: "relationship", id: ID.to_owned(), by: "customer", count: 1 },
            Common::RequestIdReused,
            Common::Conflict,
            Common::DeadlineExceeded,
            Common::Cancelled,
            Common::Overloaded,
            Common::DatabaseUnavailable,
            Common::UpstreamUnavailable { service: "ticket-rule" },
            Common::ShuttingDown,
            Common::internal("whatever"),
            Common::TooLarge { limit: 4 << 20 },
            Common::UnknownEncoding,
            Common::Malformed { expected: "CreateCustomerRequest" },
            taken(Reason::NameTaken, "relationship.name"),
            taken(Reason::EmailTaken, "user.emails[0]"),
            taken(Reason::ExternalIdTaken, "customer.external_id"),
            taken(Reason::LoginNameTaken, "user.login_name"),
        ] {
            check(&failure);
        }
    }
}
