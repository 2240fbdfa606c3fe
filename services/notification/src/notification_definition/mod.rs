//! `NotificationDefinitionService`: who is told what, when, and how.

mod check;
mod event_types;
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
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Notification;
use references::References;
pub use store::NotificationDefinitions;

#[tonic::async_trait]
impl NotificationDefinitionService for Notification {
    async fn create_notification_definition(
        &self,
        request: Request<CreateNotificationDefinitionRequest>,
    ) -> Answer<CreateNotificationDefinitionResponse> {
        let references = References::of(&self.host);
        self.service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let mut definition = request.notification_definition.unwrap_or_default();
                    // Nobody else is asked about what is wrong by itself.
                    check::check(&mut definition)?;
                    references.check(None, &definition).await?;
                    Ok(tx.insert::<NotificationDefinitions>(definition).await?.into())
                })
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
        let references = References::of(&self.host);
        self.service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let (definition, paths) = request.into_parts();
                    let before = tx.get::<NotificationDefinitions>(definition.id()).await?;
                    tx.check_etag(&before, definition.etag())?;
                    let mut after = before.clone();
                    for index in paths.iter().filter_map(|path| NotificationDefinition::index_of(path)) {
                        after.set_value(index, definition.value(index));
                    }
                    check::check(&mut after)?;
                    references.check(Some(&before), &after).await?;
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
        Ok(reply(ListEventTypesResponse { event_types: event_types::all() }))
    }
}

/// A definition as it is shown: what was sanitised when it was written is sanitised again.
fn sanitized(definition: NotificationDefinition) -> NotificationDefinition {
    NotificationDefinition { body_html_template: sanitize(&definition.body_html_template), ..definition }
}
