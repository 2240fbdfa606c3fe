//! What holds for a user in the end.

use concierge_proto::directory::{EffectiveUser, GetRequesterFactsRequest};
use concierge_runtime::Error;

use crate::Directory;

impl Directory {
    /// From the user, its roles, its site and its customer, all read as of one moment. One round trip.
    pub(super) async fn effective_user(&self, id: &str) -> Result<EffectiveUser, Error> {
        let request = GetRequesterFactsRequest { user_id: id.to_owned(), ..Default::default() };
        let known = self.known(&[request]).await?;
        known.effective_user(id).ok_or_else(|| Error::NotFound { record_type: "user", id: id.to_owned() })
    }
}
