//! What the tests of popups begin with: a desk with notification and ticket-rule, and what directory would have told.

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use concierge_directory::Directory;
use concierge_notification::Notification;
use concierge_proto::Record;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, CreateUserRequest, Customer, Site, User, UserRole};
use concierge_proto::event::RecordChanged;
use concierge_proto::notification::popup_note_service_client::PopupNoteServiceClient;
use concierge_proto::notification::popup_service_client::PopupServiceClient;
use concierge_proto::notification::{
    CreatePopupNoteRequest, DismissPopupRequest, ListPopupsRequest, ListPopupsResponse, Popup, PopupKind, PopupNote,
    PopupSettings, UpdatePopupNoteRequest, UpdatePopupSettingsRequest,
};
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{LogTicketRequest, Ticket, TicketDraft};
use concierge_runtime::clock::Clock as _;
use concierge_runtime::feed::projection;
use concierge_testkit::{Api, Suite, Who, request_id};
use concierge_ticket_rule::TicketRule;
use prost_types::{Any, FieldMask};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// Services, and an agent who may do everything unless the test says otherwise.
pub(crate) struct Desk {
    pub(crate) suite: Suite,
    pub(crate) who: Who,
}

impl Desk {
    /// Notification by itself: nobody answers for directory and ticket-rule.
    pub(crate) async fn alone() -> Self {
        let mut suite = Suite::new();
        suite.start::<Notification>().await;
        Self { suite, who: Who::agent(Uuid::from_u128(0xad)) }
    }

    /// With ticket-rule, without directory.
    pub(crate) async fn open() -> Self {
        let mut desk = Self::alone().await;
        desk.suite.start::<TicketRule>().await;
        desk
    }

    /// With ticket-rule and directory.
    pub(crate) async fn whole() -> Self {
        let mut desk = Self::open().await;
        desk.suite.start::<Directory>().await;
        desk
    }

    /// A customer with its only site and a user there, made in directory.
    pub(crate) async fn requester(&self, set: impl FnOnce(&mut User)) -> Requester {
        let request = CreateCustomerRequest {
            customer: Some(Customer { name: "Example Ltd".to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Berlin".to_owned(), ..Default::default() }),
            request_id: request_id(),
            main_contact: None,
        };
        let made = self.customers().create_customer(request).await.unwrap().into_inner();
        let (customer, site) = (made.customer.unwrap(), made.main_site.unwrap());
        let mut user = User { name: "Ann Lee".to_owned(), site_id: site.id.clone(), ..Default::default() };
        set(&mut user);
        let request = CreateUserRequest { user: Some(user), request_id: request_id() };
        let user = self.users().create_user(request).await.unwrap().into_inner().user.unwrap();
        Requester { customer, site, user }
    }

    pub(crate) fn customers(&self) -> CustomerServiceClient<Api> {
        CustomerServiceClient::new(self.suite.admin("directory"))
    }

    pub(crate) fn users(&self) -> UserServiceClient<Api> {
        UserServiceClient::new(self.suite.admin("directory"))
    }

    pub(crate) fn notes(&self) -> PopupNoteServiceClient<Api> {
        PopupNoteServiceClient::new(self.suite.api("notification", &self.who))
    }

    pub(crate) fn popups(&self) -> PopupServiceClient<Api> {
        PopupServiceClient::new(self.suite.api("notification", &self.who))
    }

    pub(crate) fn tickets(&self) -> TicketServiceClient<Api> {
        TicketServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn rules(&self) -> RuleServiceClient<Api> {
        RuleServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) async fn try_note(&self, note: PopupNote) -> Result<PopupNote, Status> {
        let request = CreatePopupNoteRequest { popup_note: Some(note), request_id: request_id() };
        Ok(self.notes().create_popup_note(request).await?.into_inner().popup_note.unwrap())
    }

    pub(crate) async fn note(&self, note: PopupNote) -> PopupNote {
        self.try_note(note).await.unwrap()
    }

    pub(crate) async fn change_note(&self, note: PopupNote, paths: &[&str]) -> Result<PopupNote, Status> {
        let request =
            UpdatePopupNoteRequest { popup_note: Some(note), update_mask: Some(mask(paths)), request_id: request_id() };
        Ok(self.notes().update_popup_note(request).await?.into_inner().popup_note.unwrap())
    }

    pub(crate) async fn dismiss(&self, note: &PopupNote) -> Result<DateTime<Utc>, Status> {
        self.dismiss_seen(note, None).await
    }

    /// The agent has seen this revision of the text.
    pub(crate) async fn dismiss_seen(&self, note: &PopupNote, revision: Option<i64>) -> Result<DateTime<Utc>, Status> {
        let request =
            DismissPopupRequest { popup_note_id: note.id.clone(), request_id: request_id(), text_revision: revision };
        let time = self.popups().dismiss_popup(request).await?.into_inner().dismiss_time.unwrap();
        Ok(concierge_proto::record::datetime(&time).unwrap())
    }

    pub(crate) async fn settings(&self, settings: PopupSettings, paths: &[&str]) -> Result<PopupSettings, Status> {
        let request = UpdatePopupSettingsRequest {
            popup_settings: Some(settings),
            update_mask: Some(mask(paths)),
            request_id: request_id(),
        };
        Ok(self.popups().update_popup_settings(request).await?.into_inner().popup_settings.unwrap())
    }

    /// Both settings at once.
    pub(crate) async fn vip_popups(&self, user: bool, customer: bool) {
        let settings =
            PopupSettings { vip_popup_enabled: user, vip_customer_popup_enabled: customer, ..Default::default() };
        self.settings(settings, &["vip_popup_enabled", "vip_customer_popup_enabled"]).await.unwrap();
    }

    pub(crate) async fn log(&self, ticket: Ticket) -> Ticket {
        let request = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
        self.tickets().log_ticket(request).await.unwrap().into_inner().ticket.unwrap()
    }

    pub(crate) async fn list(&self, request: ListPopupsRequest) -> Result<ListPopupsResponse, Status> {
        Ok(self.popups().list_popups(request).await?.into_inner())
    }

    /// What is shown on a ticket.
    pub(crate) async fn of_ticket(&self, ticket: &Ticket) -> Vec<Popup> {
        let shown = self.list(ListPopupsRequest { ticket_id: ticket.id.clone(), draft: None }).await.unwrap();
        assert!(!shown.rules_missing);
        shown.popups
    }

    /// What is shown on a draft.
    pub(crate) async fn of_draft(&self, draft: TicketDraft) -> Vec<Popup> {
        self.list(of(draft)).await.unwrap().popups
    }

    /// Notification and ticket-rule have heard of a record.
    pub(crate) async fn hear<R: Record>(&mut self, record: &R) {
        let change = RecordChanged {
            record_type: R::TYPE.to_owned(),
            record_id: record.id().to_owned(),
            version: record.version(),
            record: Some(Any { type_url: concierge_runtime::type_url(R::FULL_NAME), value: record.encode_to_vec() }),
            ..Default::default()
        };
        for name in ["notification", "ticket-rule"] {
            if name == "ticket-rule" && !self.has_ticket_rule().await {
                continue;
            }
            let pool = self.suite.service(name).database.pool.clone();
            projection::keep(&mut pool.acquire().await.unwrap(), &change).await.unwrap();
        }
    }

    async fn has_ticket_rule(&self) -> bool {
        let request = concierge_proto::ticket_rule::ListRulesRequest::default();
        let mut request = tonic::Request::new(request);
        request.set_timeout(std::time::Duration::from_millis(300));
        self.rules().list_rules(request).await.is_ok()
    }

    pub(crate) async fn hear_all(&mut self, requester: &Requester) {
        self.hear(&requester.customer).await;
        self.hear(&requester.site).await;
        self.hear(&requester.user).await;
    }

    /// Moves the clock to a full hour of the day in UTC.
    pub(crate) fn at_hour(&self, hour: u32) {
        let now = self.suite.clock.now();
        let hours = (i64::from(hour) - i64::from(now.hour())).rem_euclid(24);
        self.suite.clock.advance(TimeDelta::hours(hours) - TimeDelta::minutes(i64::from(now.minute())));
    }

    /// Today somewhere.
    pub(crate) fn today(&self, zone: Tz) -> NaiveDate {
        self.suite.clock.now().with_timezone(&zone).date_naive()
    }
}

/// A customer, its only site, and a user there.
#[derive(Clone)]
pub(crate) struct Requester {
    pub(crate) customer: Customer,
    pub(crate) site: Site,
    pub(crate) user: User,
}

impl Requester {
    pub(crate) fn new() -> Self {
        let customer = Customer {
            id: id(),
            name: "Example Ltd".to_owned(),
            active: Some(true),
            etag: "1".to_owned(),
            ..Default::default()
        };
        let site = Site {
            id: id(),
            customer_id: customer.id.clone(),
            name: "Berlin".to_owned(),
            active: Some(true),
            etag: "1".to_owned(),
            ..Default::default()
        };
        let user = User {
            id: id(),
            name: "Ann Lee".to_owned(),
            site_id: site.id.clone(),
            customer_id: customer.id.clone(),
            active: Some(true),
            etag: "1".to_owned(),
            ..Default::default()
        };
        Self { customer: Customer { main_site_id: site.id.clone(), ..customer }, site, user }
    }

    pub(crate) fn draft(&self) -> TicketDraft {
        TicketDraft { user_id: self.user.id.clone(), ..Default::default() }
    }

    pub(crate) fn ticket(&self, summary: &str) -> Ticket {
        Ticket { summary: summary.to_owned(), user_id: self.user.id.clone(), ..Default::default() }
    }

    pub(crate) fn of_customer(&self, text: &str) -> PopupNote {
        PopupNote { customer_id: self.customer.id.clone(), text_html: text.to_owned(), ..Default::default() }
    }

    pub(crate) fn of_site(&self, text: &str) -> PopupNote {
        PopupNote { site_id: self.site.id.clone(), text_html: text.to_owned(), ..Default::default() }
    }

    pub(crate) fn of_user(&self, text: &str) -> PopupNote {
        PopupNote { user_id: self.user.id.clone(), text_html: text.to_owned(), ..Default::default() }
    }
}

/// A role that makes its users important.
pub(crate) fn important_role() -> UserRole {
    UserRole { id: id(), name: "Director".to_owned(), important: true, etag: "1".to_owned(), ..Default::default() }
}

pub(crate) fn of(draft: TicketDraft) -> ListPopupsRequest {
    ListPopupsRequest { ticket_id: String::new(), draft: Some(draft) }
}

/// The texts of some popups.
pub(crate) fn texts(popups: &[Popup]) -> Vec<&str> {
    popups.iter().map(|popup| popup.html.as_str()).collect()
}

pub(crate) fn kinds(popups: &[Popup]) -> Vec<PopupKind> {
    popups.iter().map(Popup::kind).collect()
}

pub(crate) fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

/// A new id.
#[allow(clippy::disallowed_methods)]
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

/// The code, the reason and the fields of a refusal.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String, Vec<String>) {
    let status = result.unwrap_err();
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    (status.code(), reason, fields.into_iter().map(|violation| violation.field).collect())
}

pub(crate) fn because(code: Code, reason: &str, fields: &[&str]) -> (Code, String, Vec<String>) {
    (code, reason.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect())
}
