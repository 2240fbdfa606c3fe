//! Every RPC of ticket-rule, over its own socket and a Postgres of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod calendar;
mod category;
mod changed;
mod configuration;
mod custom_field;
mod desk;
mod evaluation;
mod explanation;
mod facts;
mod lint;
mod merge;
mod priority;
mod rule;
mod rule_file;
mod rule_loop;
mod rule_reapply;
mod second_evaluation;
mod simulation;
mod sla;
mod status;
mod support;
mod ticket;
mod ticket_field;
mod ticket_type;
