//! `PreferenceService`: of which tickets of others a user wants to be told.

pub(crate) mod store;

use concierge_proto::directory::User;
use concierge_proto::notification::preference_service_server::PreferenceService;
use concierge_proto::notification::{
    GetPreferencesRequest, GetPreferencesResponse, UpdatePreferencesRequest, UpdatePreferencesResponse,
};
use concierge_proto::{CallerKind, Record as _, UpdateRequest as _};
use concierge_runtime::{Answer, Call, Error, reply};
use tonic::Request;

use crate::Notification;
use crate::live::{Kind, is_missing};
pub use store::UserPreferences;

#[tonic::async_trait]
impl PreferenceService for Notification {
    async fn get_preferences(&self, request: Request<GetPreferencesRequest>) -> Answer<GetPreferencesResponse> {
        let id = &request.get_ref().id;
        within_reach(id)?;
        let preferences = match self.service.read::<UserPreferences>(id).await {
            Err(Error::NotFound { .. }) => {
                self.check_user(id).await?;
                store::unwritten(id)
            }
            found => found?,
        };
        Ok(reply(preferences.into()))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Answer<UpdatePreferencesResponse> {
        let id = request.get_ref().preferences.as_ref().map(|p| p.id.clone()).unwrap_or_default();
        within_reach(&id)?;
        // Before the transaction: whoever waits for directory must not hold a connection.
        let checked = self.check_user(&id).await;
        self.service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let (new, paths) = request.into_parts();
                    checked?;
                    Ok(store::change(tx, &new, &paths).await?.into())
                })
            })
            .await
    }
}

/// Users in the portal reach their own preferences; those of others look as if they were nobody's.
fn within_reach(id: &str) -> Result<(), Error> {
    let call = Call::current();
    let caller = call.as_ref().and_then(|call| call.caller.as_ref());
    match caller {
        Some(caller) if caller.kind == CallerKind::User && caller.subject != id => Err(absent(id)),
        _ => Ok(()),
    }
}

fn absent(id: &str) -> Error {
    Error::NotFound { record_type: User::TYPE, id: id.to_owned() }
}

impl Notification {
    /// Refuses what directory says is no live user; one of whom it does not answer is believed to be there.
    async fn check_user(&self, id: &str) -> Result<(), Error> {
        if is_missing(&self.host, Kind::User, id).await { Err(absent(id)) } else { Ok(()) }
    }
}
