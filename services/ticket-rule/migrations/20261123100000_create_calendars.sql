-- When desks work.
create table calendars (
    id uuid primary key,
    name text not null,
    description text not null,
    time_zone text not null,
    working_hours bytea,
    holidays bytea,
    active boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index calendars_name on calendars (lower(name)) where delete_time is null;
create index calendars_by_create_time on calendars (create_time, id);

alter table slas add column calendar_id uuid;
-- Null on tickets of the release before, which held by the clock.
alter table tickets add column held_working_duration bigint;
