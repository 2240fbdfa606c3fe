//! What can go wrong in the directory beyond what every service has: facts, free of transport.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_runtime::Failure;
use tonic::Code;

/// A failure of the directory's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The relationship is for the other kind of record.
    #[error("{field}: a relationship for another kind of record")]
    RelationshipOfOtherEntity {
        /// The field that names it.
        field: String,
    },
}

concierge_runtime::failure!(Error);

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::RelationshipOfOtherEntity { .. } => Code::InvalidArgument,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::RelationshipOfOtherEntity { .. } => Reason::RelationshipOfOtherEntity,
        }
    }

    fn violations(&self) -> Violations {
        match self {
            Self::RelationshipOfOtherEntity { field } => {
                Violations::one(field.clone(), "must be a relationship configured for this kind of record")
            }
        }
    }
}
