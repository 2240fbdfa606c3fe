//! Every RPC of notification, over its own socket and a Postgres of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod delivery;
mod email_sender;
mod inbox;
mod notification_definition;
mod popup;
mod popup_desk;
mod popup_note;
mod preference;
mod retention;
mod sending;
mod slow_smtp;
mod telling;
mod world;
