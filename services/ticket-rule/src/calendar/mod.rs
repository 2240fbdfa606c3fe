//! `CalendarService`: when a service desk works.

mod store;

use concierge_proto::ticket_rule::calendar_service_server::CalendarService;
use concierge_proto::ticket_rule::{
    CreateCalendarRequest, CreateCalendarResponse, DeleteCalendarRequest, DeleteCalendarResponse, GetCalendarRequest,
    GetCalendarResponse, ListCalendarsRequest, ListCalendarsResponse, UndeleteCalendarRequest,
    UndeleteCalendarResponse, UpdateCalendarRequest, UpdateCalendarResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::Calendars;

#[tonic::async_trait]
impl CalendarService for TicketRule {
    async fn create_calendar(&self, request: Request<CreateCalendarRequest>) -> Answer<CreateCalendarResponse> {
        self.configure_create::<Calendars, _>(request, Known::default()).await
    }

    async fn get_calendar(&self, request: Request<GetCalendarRequest>) -> Answer<GetCalendarResponse> {
        self.service.get::<Calendars, _>(request).await
    }

    async fn update_calendar(&self, request: Request<UpdateCalendarRequest>) -> Answer<UpdateCalendarResponse> {
        self.configure_update::<Calendars, _>(request, Known::default()).await
    }

    async fn delete_calendar(&self, request: Request<DeleteCalendarRequest>) -> Answer<DeleteCalendarResponse> {
        self.configure_delete::<Calendars, _>(request).await
    }

    async fn undelete_calendar(&self, request: Request<UndeleteCalendarRequest>) -> Answer<UndeleteCalendarResponse> {
        self.configure_undelete::<Calendars, _>(request, Known::default()).await
    }

    async fn list_calendars(&self, request: Request<ListCalendarsRequest>) -> Answer<ListCalendarsResponse> {
        self.service.list::<Calendars, _>(request).await
    }
}
