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
            Self::GrantNotHeld { .. } => Code::PermissionDenied,
            Self::ReferenceInactive { .. }
            | Self::SiteIsMain { .. }
            | Self::ParentDeleted { .. }
            | Self::UserLinkedToOtherAgent { .. }
            | Self::LoginNameRequired { .. }
            | Self::SubjectInactive { .. }
            | Self::WebAccessNone { .. }
            | Self::ScopeTooWide { .. }
            | Self::SigningKeyMissing => Code::FailedPrecondition,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::ReferenceInactive { .. } => Reason::ReferenceInactive,
            Self::SiteIsMain { .. } => Reason::SiteIsMain,
            Self::SiteOfOtherCustomer { .. } => Reason::SiteOfOtherCustomer,
            Self::ParentDeleted { .. } => Reason::ParentDeleted,
            Self::UserOfOtherCustomer { .. } => Reason::UserOfOtherCustomer,
            Self::GrantNotHeld { .. } => Reason::GrantNotHeld,
            Self::PermissionUnknown { .. } => Reason::PermissionUnknown,
            Self::UserLinkedToOtherAgent { .. } => Reason::UserLinkedToOtherAgent,
            Self::LoginNameRequired { .. } => Reason::LoginNameRequired,
            Self::AgentNotInTeam { .. } => Reason::AgentNotInTeam,
            Self::SubjectInactive { .. } => Reason::SubjectInactive,
            Self::WebAccessNone { .. } => Reason::WebAccessNone,
            Self::ScopeTooWide { .. } => Reason::ScopeTooWide,
            Self::SigningKeyMissing => Reason::SigningKeyMissing,
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
            Self::GrantNotHeld { permission } => vec![("permission", permission.clone())],
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
