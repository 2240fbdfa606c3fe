//! Who calls, and whether they may.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_proto::Method;
use http::HeaderMap;

use crate::auth::{Caller, ON_BEHALF_OF, Verifier};
use crate::call::Call;
use crate::error::Error;

pub(crate) fn authenticate(verifier: &Verifier, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Arc<Caller>, Error> {
    let caller = verifier.verify_headers(headers, now)?;
    match headers.get(ON_BEHALF_OF) {
        None => Ok(caller),
        Some(original) => {
            let acting = original.to_str().ok().and_then(|original| caller.acting_for(original));
            acting.map(Arc::new).ok_or(Error::OnBehalfOfRefused)
        }
    }
}

/// Before anything is looked up: without the permission, a caller does not even learn what exists.
pub(crate) fn authorize(method: &Method, call: &Call) -> Result<(), Error> {
    let Some(caller) = &call.caller else { return Ok(()) };
    if !method.kinds.contains(&caller.kind) {
        return Err(Error::KindRefused { kind: caller.kind });
    }
    match method.permission {
        Some(permission) if !caller.permissions.holds(permission) => {
            Err(Error::PermissionMissing { permission, field: None })
        }
        _ => Ok(()),
    }
}
