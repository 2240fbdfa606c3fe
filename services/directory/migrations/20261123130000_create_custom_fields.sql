create table custom_fields (
    id uuid primary key,
    entity integer not null,
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
-- Deleted ones too: a value that a record has must not become one of another type.
create unique index custom_fields_key on custom_fields (entity, key);
create index custom_fields_by_create_time on custom_fields (create_time, id);

alter table customers add column custom_fields bytea;
alter table sites add column custom_fields bytea;
alter table users add column custom_fields bytea;
