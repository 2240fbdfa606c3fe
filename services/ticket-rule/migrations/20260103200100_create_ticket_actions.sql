create table ticket_actions (
    id uuid primary key,
    ticket_id uuid not null,
    text text not null,
    visibility integer not null,
    author_kind integer not null,
    author_id uuid,
    author_name text not null,
    external_id text not null,
    external_source text not null,
    action_time timestamptz not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null
);
create unique index ticket_actions_external_id on ticket_actions (ticket_id, external_source, external_id)
    where external_id <> '';
create index ticket_actions_by_ticket on ticket_actions (ticket_id, create_time, id);
