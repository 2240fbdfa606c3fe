//! Every RPC of the directory, over its own socket and a Postgres of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod address_book;
mod agent;
mod agent_role;
mod change_history;
mod custom_field;
mod customer;
mod department;
mod desk;
mod feed;
mod limits;
mod relationship;
mod requester;
mod site;
mod site_contact;
mod site_contact_type;
mod team;
mod ticket_feed;
mod transactions;
mod user;
mod user_role;
mod user_search;
mod wire;
