//! `PopupNoteService`.

use concierge_proto::directory::DeleteUserRequest;
use concierge_proto::notification::{
    DeletePopupNoteRequest, GetPopupNoteRequest, ListPopupNotesRequest, PopupNote, UndeletePopupNoteRequest,
};
use concierge_testkit::{Who, request_id};
use tonic::Code;
use uuid::Uuid;

use crate::popup_desk::{Desk, Requester, because, id, refused};

const INVALID: &str = "INVALID_FIELD";

async fn get(desk: &Desk, id: &str) -> PopupNote {
    let request = GetPopupNoteRequest { id: id.to_owned() };
    desk.notes().get_popup_note(request).await.unwrap().into_inner().popup_note.unwrap()
}

async fn all(desk: &Desk, request: ListPopupNotesRequest) -> Vec<String> {
    let notes = desk.notes().list_popup_notes(request).await.unwrap().into_inner().popup_notes;
    notes.into_iter().map(|note| note.text_html).collect()
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    let created = desk
        .note(PopupNote {
            from_date: "2026-03-01".into(),
            until_date: "2026-03-31".into(),
            text_revision: 7,
            ..ann.of_user("<p>Call back</p>")
        })
        .await;
    assert_eq!((created.active, created.dismissible, created.text_revision), (Some(true), false, 1));
    assert_eq!(get(&desk, &created.id).await, created);

    let changed = PopupNote { active: Some(false), dismissible: true, until_date: String::new(), ..created.clone() };
    let changed = desk.change_note(changed, &["active", "dismissible", "until_date"]).await.unwrap();
    assert_eq!((changed.active, changed.dismissible, changed.text_revision), (Some(false), true, 1));
    assert_eq!((changed.from_date.as_str(), changed.until_date.as_str()), ("2026-03-01", ""));
    let stale = PopupNote { dismissible: false, ..created.clone() };
    assert_eq!(refused(desk.change_note(stale, &["dismissible"]).await), because(Code::Aborted, "STALE_ETAG", &[]));

    let delete =
        |etag: &str| DeletePopupNoteRequest { id: created.id.clone(), etag: etag.to_owned(), request_id: request_id() };
    assert_eq!(refused(desk.notes().delete_popup_note(delete("1")).await), because(Code::Aborted, "STALE_ETAG", &[]));
    let deleted = desk.notes().delete_popup_note(delete("2")).await.unwrap().into_inner().popup_note.unwrap();
    assert!(deleted.delete_time.is_some());
    assert!(get(&desk, &created.id).await.delete_time.is_some());
    let late = PopupNote { dismissible: false, etag: String::new(), ..created.clone() };
    assert_eq!(
        refused(desk.change_note(late, &["dismissible"]).await),
        because(Code::FailedPrecondition, "RECORD_DELETED", &[])
    );

    let undelete = || UndeletePopupNoteRequest { id: created.id.clone(), request_id: request_id() };
    let back = desk.notes().undelete_popup_note(undelete()).await.unwrap().into_inner().popup_note.unwrap();
    assert_eq!((back.delete_time, back.text_html.as_str()), (None, "<p>Call back</p>"));
    assert_eq!(
        refused(desk.notes().undelete_popup_note(undelete()).await),
        because(Code::FailedPrecondition, "RECORD_NOT_DELETED", &[])
    );
    let unknown = GetPopupNoteRequest { id: id() };
    assert_eq!(refused(desk.notes().get_popup_note(unknown).await), because(Code::NotFound, "RECORD_NOT_FOUND", &[]));
}

#[tokio::test]
async fn is_about_exactly_one_customer_site_or_user_for_good() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    let nobody = PopupNote { text_html: "x".into(), ..Default::default() };
    assert_eq!(
        refused(desk.try_note(nobody).await),
        because(
            Code::InvalidArgument,
            INVALID,
            &["popup_note.customer_id", "popup_note.site_id", "popup_note.user_id"]
        )
    );
    let two = PopupNote { site_id: ann.site.id.clone(), ..ann.of_user("x") };
    assert_eq!(
        refused(desk.try_note(two).await),
        because(Code::InvalidArgument, INVALID, &["popup_note.site_id", "popup_note.user_id"])
    );
    let note = desk.note(ann.of_user("x")).await;
    let moved = PopupNote { user_id: id(), ..note };
    assert_eq!(
        refused(desk.change_note(moved, &["user_id"]).await),
        because(Code::InvalidArgument, INVALID, &["update_mask"])
    );
}

#[tokio::test]
async fn refuses_days_that_are_not_in_the_calendar_and_windows_that_end_before_they_begin() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    let window = |from: &str, until: &str| PopupNote {
        from_date: from.to_owned(),
        until_date: until.to_owned(),
        ..ann.of_site("x")
    };
    let wrong = |fields| because(Code::InvalidArgument, INVALID, fields);
    assert_eq!(
        refused(desk.try_note(window("2026-02-29", "2026-13-01")).await),
        wrong(&["popup_note.from_date", "popup_note.until_date"])
    );
    assert_eq!(refused(desk.try_note(window("1.3.2026", "")).await), wrong(&["popup_note.from_date"]));
    assert_eq!(refused(desk.try_note(window("2026-03-02", "2026-03-01")).await), wrong(&["popup_note.until_date"]));
    let note = desk.note(window("2026-03-02", "2026-03-02")).await;
    let changed = PopupNote { until_date: "2026-03-01".into(), ..note };
    assert_eq!(refused(desk.change_note(changed, &["until_date"]).await), wrong(&["popup_note.until_date"]));
}

#[tokio::test]
async fn believes_in_the_target_while_directory_is_away() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    for note in [ann.of_customer("x"), ann.of_site("x"), ann.of_user("x")] {
        desk.note(note).await;
    }
}

#[tokio::test]
async fn refuses_a_target_that_does_not_exist() {
    let desk = Desk::whole().await;
    let ann = desk.requester(|_| {}).await;
    for note in [ann.of_customer("x"), ann.of_site("x"), ann.of_user("x")] {
        desk.note(note).await;
    }
    let nobody = Requester::new();
    let missing = |field| because(Code::InvalidArgument, "REFERENCE_NOT_FOUND", &[field]);
    assert_eq!(refused(desk.try_note(nobody.of_customer("x")).await), missing("popup_note.customer_id"));
    assert_eq!(refused(desk.try_note(nobody.of_site("x")).await), missing("popup_note.site_id"));
    assert_eq!(refused(desk.try_note(nobody.of_user("x")).await), missing("popup_note.user_id"));
    let delete = DeleteUserRequest { id: ann.user.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    assert_eq!(refused(desk.try_note(ann.of_user("x")).await), missing("popup_note.user_id"));
}

#[tokio::test]
async fn takes_out_what_acts_when_written() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    for (written, stored) in [
        ("<p onclick=\"steal()\">Hi<script>steal()</script></p>", "<p>Hi</p>"),
        ("<img src=x onerror=steal()>Hi", "Hi"),
        ("<svg><g onload=steal()></svg>Hi", "Hi"),
        ("<a href=\"javascript:steal()\">Hi</a>", "<a rel=\"noopener noreferrer nofollow\">Hi</a>"),
        ("<style>body{display:none}</style><b style=\"color:red\">Hi</b>", "<b>Hi</b>"),
        ("<form action=\"https://example.com\"><input name=password>Hi</form>", "Hi"),
        ("<iframe src=\"https://example.com\"></iframe>Hi", "Hi"),
    ] {
        assert_eq!(desk.note(ann.of_user(written)).await.text_html, stored);
    }
    let nothing_left = desk.try_note(ann.of_user("<script>steal()</script>")).await;
    assert_eq!(refused(nothing_left), because(Code::InvalidArgument, INVALID, &["popup_note.text_html"]));
    let note = desk.note(ann.of_user("Hi")).await;
    for nothing in ["&nbsp;", "<br>", "\u{200b}", "<p><svg onload=steal()></svg></p>"] {
        let refusal = because(Code::InvalidArgument, INVALID, &["popup_note.text_html"]);
        assert_eq!(refused(desk.try_note(ann.of_user(nothing)).await), refusal, "{nothing}");
        let emptied = PopupNote { text_html: nothing.into(), ..note.clone() };
        assert_eq!(refused(desk.change_note(emptied, &["text_html"]).await), refusal, "{nothing}");
    }
    let changed = PopupNote { text_html: "<b onmouseover=steal()>Ho</b>".into(), ..note };
    assert_eq!(desk.change_note(changed, &["text_html"]).await.unwrap().text_html, "<b>Ho</b>");
}

#[tokio::test]
async fn takes_out_what_acts_when_read() {
    let mut desk = Desk::alone().await;
    let ann = Requester::new();
    let note = desk.note(ann.of_user("Hi")).await;
    // As an older version, with a laxer list, could have stored it.
    sqlx::query("update popup_notes set text_html = '<img src=x onerror=steal()>Hi'")
        .execute(&desk.suite.service("notification").database.pool)
        .await
        .unwrap();
    assert_eq!(get(&desk, &note.id).await.text_html, "Hi");
    assert_eq!(all(&desk, ListPopupNotesRequest::default()).await, ["Hi"]);
    let shown = desk.of_draft(ann.draft()).await;
    assert_eq!(shown[0].html, "Hi");
}

#[tokio::test]
async fn counts_every_change_of_the_text() {
    let desk = Desk::alone().await;
    let note = desk.note(Requester::new().of_user("one")).await;
    let write = |text: &str| PopupNote { text_html: text.to_owned(), etag: String::new(), ..note.clone() };
    assert_eq!(desk.change_note(write("one"), &["text_html"]).await.unwrap().text_revision, 1);
    assert_eq!(desk.change_note(write("two"), &["text_html"]).await.unwrap().text_revision, 2);
    assert_eq!(desk.change_note(write("one"), &["text_html"]).await.unwrap().text_revision, 3);
}

#[tokio::test]
async fn lists_in_the_order_of_creation_filters_and_orders() {
    let desk = Desk::alone().await;
    let ann = Requester::new();
    desk.note(PopupNote { dismissible: true, from_date: "2026-03-02".into(), ..ann.of_user("a") }).await;
    desk.note(PopupNote { from_date: "2026-03-03".into(), ..ann.of_site("b") }).await;
    desk.note(PopupNote { active: Some(false), from_date: "2026-03-01".into(), ..ann.of_customer("c") }).await;
    assert_eq!(all(&desk, ListPopupNotesRequest::default()).await, ["a", "b", "c"]);
    let filter = |filter: &str| ListPopupNotesRequest { filter: filter.to_owned(), ..Default::default() };
    assert_eq!(all(&desk, filter("active = true AND dismissible = true")).await, ["a"]);
    assert_eq!(all(&desk, filter(&format!("site_id = \"{}\"", ann.site.id))).await, ["b"]);
    let ordered = ListPopupNotesRequest { order_by: "from_date desc".into(), ..Default::default() };
    assert_eq!(all(&desk, ordered).await, ["b", "a", "c"]);
}

#[tokio::test]
async fn is_not_for_portal_users_and_needs_a_permission() {
    let mut desk = Desk::alone().await;
    let ann = Requester::new();
    desk.who = Who::user(&ann.user.id, &ann.customer.id, &ann.site.id);
    assert_eq!(
        refused(desk.try_note(ann.of_user("x")).await),
        because(Code::PermissionDenied, "CALLER_KIND_REFUSED", &[])
    );
    desk.who = Who::agent(Uuid::from_u128(1)).with_scope(&["popups.read"]);
    assert_eq!(
        refused(desk.try_note(ann.of_user("x")).await),
        because(Code::PermissionDenied, "PERMISSION_MISSING", &[])
    );
}
