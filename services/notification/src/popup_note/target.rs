//! The customer, site or user that a note is about.

use concierge_proto::error::Reason;
use concierge_proto::notification::PopupNote;
use concierge_runtime::Error;
use concierge_runtime::program::Host;

use crate::live::{Kind, is_missing};

/// Refuses a target that does not exist, or is deleted. One call of directory.
pub(super) async fn check(host: &Host, note: &PopupNote) -> Result<(), Error> {
    let (field, kind, id) = match note {
        PopupNote { customer_id, .. } if !customer_id.is_empty() => ("customer_id", Kind::Customer, customer_id),
        PopupNote { site_id, .. } if !site_id.is_empty() => ("site_id", Kind::Site, site_id),
        _ => ("user_id", Kind::User, &note.user_id),
    };
    if !is_missing(host, kind, id).await {
        return Ok(());
    }
    let why = format!("there is no live {} {id}", kind.words());
    Err(Error::because(Reason::ReferenceNotFound, format!("popup_note.{field}"), why))
}
