//! Taking tokens back.

use concierge_proto::directory::{RevocationTarget, RevokeTokensRequest, RevokeTokensResponse};
use concierge_proto::event::Revocation;
use concierge_proto::record::{datetime, timestamp};
use concierge_runtime::auth::LONGEST_LIFE;
use concierge_runtime::program::Host;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

/// Takes back what was issued until now. The target need not exist.
pub(super) async fn revoke(
    tx: &mut Tx,
    host: Host,
    request: RevokeTokensRequest,
) -> Result<RevokeTokensResponse, Error> {
    let target = request.target();
    // Nobody would get in any more, also not whoever could mend it: another key signs first.
    if target == RevocationTarget::Key && request.target_id == host.signer.key_id() {
        return Err(crate::Error::SigningKeyInUse { kid: request.target_id }.into());
    }
    let mut revocation = Revocation { why: request.comment, ..Revocation::default() };
    match target {
        // Agents and users are named by UUIDs, in one form; services by names.
        RevocationTarget::Subject => revocation.subject = id(&request.target_id).unwrap_or(request.target_id),
        RevocationTarget::Site => revocation.site_id = id(&request.target_id)?,
        RevocationTarget::Customer => revocation.customer_id = id(&request.target_id)?,
        RevocationTarget::Key => revocation.key_id = request.target_id,
        // Refused by the contract's rules.
        RevocationTarget::Unspecified => return Err(Error::field("target", "must be given")),
    }
    let told = tx.revoke(revocation).await?;
    let until = told.issued_before.as_ref().and_then(datetime).map(|time| timestamp(time + LONGEST_LIFE));
    Ok(RevokeTokensResponse {
        revocation_id: told.id,
        revoke_time: told.issued_before,
        expire_time: until.filter(|_| target != RevocationTarget::Key),
    })
}

fn id(text: &str) -> Result<String, Error> {
    let wrong = || Error::field("target_id", "must be a UUID such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
    text.parse::<Uuid>().map(|id| id.to_string()).map_err(|_| wrong())
}
