-- The custom fields of tickets.
create table ticket_fields (
    id uuid primary key,
    key text not null,
    name text not null,
    description text not null,
    type integer not null,
    choices bytea,
    required boolean not null,
    position bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
-- Deleted ones included: tickets still have values under their keys.
create unique index ticket_fields_key on ticket_fields (key);
create index ticket_fields_by_create_time on ticket_fields (create_time, id);

-- Null on tickets of the release before, which have none.
alter table tickets add column custom_fields bytea;
