//! `NotificationDefinitionService`: who is told what, when, and how.

mod check;
mod event_types;
pub(crate) mod fields;
mod references;
pub(crate) mod store;

use concierge_proto::notification::notification_definition_service_server::NotificationDefinitionService;
use concierge_proto::notification::{
    CreateNotificationDefinitionRequest, CreateNotificationDefinitionResponse, DeleteNotificationDefinitionRequest,
    DeleteNotificationDefinitionResponse, GetNotificationDefinitionRequest, GetNotificationDefinitionResponse,
    ListEventTypesRequest, ListEventTypesResponse, ListNotificationDefinitionsRequest,
    ListNotificationDefinitionsResponse, NotificationDefinition, UndeleteNotificationDefinitionRequest,
    UndeleteNotificationDefinitionResponse, UpdateNotificationDefinitionRequest, UpdateNotificationDefinitionResponse,
};
use concierge_proto::{Fields as _, Record as _, UpdateRequest as _};
use concierge_runtime::html::sanitize;
use concierge_runtime::resource::Only;
use concierge_runtime::{Answer, Error, reply};
use tonic::Request;

use crate::Notification;
pub use store::NotificationDefinitions;

#[tonic::async_trait]
impl NotificationDefinitionService for Notification {
    async fn create_notification_definition(
        &self,
        request: Request<CreateNotificationDefinitionRequest>,
    ) -> Answer<CreateNotificationDefinitionResponse> {
        // Before the transaction: whoever waits for other services must not hold a connection.
        let definition = request.get_ref().notification_definition.clone().unwrap_or_default();
        let checked = self.checked(None, definition).await;
        self.service
            .write(request, move |tx, _| {
                Box::pin(async move { Ok(tx.insert::<NotificationDefinitions>(checked?).await?.into()) })
            })
            .await
    }

    async fn get_notification_definition(
        &self,
        request: Request<GetNotificationDefinitionRequest>,
    ) -> Answer<GetNotificationDefinitionResponse> {
        let definition = self.service.read::<NotificationDefinitions>(&request.get_ref().id).await?;
        Ok(reply(sanitized(definition).into()))
    }

    async fn update_notification_definition(
        &self,
        request: Request<UpdateNotificationDefinitionRequest>,
    ) -> Answer<UpdateNotificationDefinitionResponse> {
        // Before the transaction, as above.
        let checked = self.checked_update(request.get_ref().clone()).await;
        self.service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let (definition, paths) = request.into_parts();
                    let before = tx.get::<NotificationDefinitions>(definition.id()).await?;
                    tx.check_etag(&before, definition.etag())?;
                    checked?;
                    Ok(tx.update::<NotificationDefinitions>(&definition, &paths).await?.into())
                })
            })
            .await
    }

    async fn delete_notification_definition(
        &self,
        request: Request<DeleteNotificationDefinitionRequest>,
    ) -> Answer<DeleteNotificationDefinitionResponse> {
        self.service.delete::<NotificationDefinitions, _>(request).await
    }

    async fn undelete_notification_definition(
        &self,
        request: Request<UndeleteNotificationDefinitionRequest>,
    ) -> Answer<UndeleteNotificationDefinitionResponse> {
        self.service.undelete::<NotificationDefinitions, _>(request).await
    }

    async fn list_notification_definitions(
        &self,
        request: Request<ListNotificationDefinitionsRequest>,
    ) -> Answer<ListNotificationDefinitionsResponse> {
        let everything = Only::everything();
        let (definitions, next) =
            self.service.page::<NotificationDefinitions, _>(request.get_ref(), everything).await?;
        Ok(reply((definitions.into_iter().map(sanitized).collect::<Vec<_>>(), next).into()))
    }

    async fn list_event_types(&self, _request: Request<ListEventTypesRequest>) -> Answer<ListEventTypesResponse> {
        let mut connection = self.service.pool().acquire().await.map_err(Error::from)?;
        let fields = fields::described(&mut connection).await?;
        Ok(reply(ListEventTypesResponse { event_types: event_types::all(&fields) }))
    }
}

impl Notification {
    /// A definition as it is to be stored; an error when it is wrong by itself, or names what is not there.
    async fn checked(
        &self,
        before: Option<&NotificationDefinition>,
        mut after: NotificationDefinition,
    ) -> Result<NotificationDefinition, Error> {
        // Nobody else is asked about what is wrong by itself.
        let schema = fields::caught_up(&self.host, after.criteria.as_ref()).await?;
        check::check(&mut after, &schema)?;
        references::check(&self.host, before, &after).await?;
        Ok(after)
    }

    /// The same for a change of one, as it would be now.
    async fn checked_update(&self, request: UpdateNotificationDefinitionRequest) -> Result<(), Error> {
        let (definition, paths) = request.into_parts();
        let before = self.service.read::<NotificationDefinitions>(definition.id()).await?;
        let mut after = before.clone();
        for index in paths.iter().filter_map(|path| NotificationDefinition::index_of(path)) {
            after.set_value(index, definition.value(index));
        }
        self.checked(Some(&before), after).await?;
        Ok(())
    }
}

/// A definition as it is shown: what was sanitised when it was written is sanitised again.
fn sanitized(definition: NotificationDefinition) -> NotificationDefinition {
    NotificationDefinition { body_html_template: sanitize(&definition.body_html_template), ..definition }
}
