-- What every service's database has: answers kept for repeated requests, history, outbox and feed, cursors and
-- projections of other services' records.

create table answers (
    caller text not null,
    method text not null,
    request_id uuid not null,
    request_hash bytea not null,
    answer bytea,
    create_time timestamptz not null,
    primary key (caller, method, request_id)
);
create index answers_by_time on answers (create_time);

-- Who changed what. `id` is that of the event that told of it; `seq` grows with every change of a record.
create table changes (
    seq bigint generated always as identity primary key,
    id uuid not null,
    record_type text not null,
    record_id uuid not null,
    version bigint not null,
    operation integer not null,
    time timestamptz not null,
    actor_kind integer not null,
    actor text not null,
    on_behalf_of text not null,
    request_id text not null,
    method text not null,
    fields text[] not null,
    record bytea not null,
    constraint changes_once unique (record_type, record_id, version)
);
create index changes_by_time on changes (time, seq);
-- Tokens taken away are history too; those of a key stay taken away.
create index changes_revocations on changes (time) where record_type = 'revocation';
create index changes_revoked_keys on changes (seq) where record_type = 'revocation' and fields @> array['key_id'];

-- `seq` is filled after the record's row was locked (cache 1: no value is set aside), so per record its order is the
-- order of the changes. `position` is given after commit, by the sequencer.
create table outbox (
    seq bigint generated always as identity (cache 1) primary key,
    position bigint,
    id uuid not null,
    type text not null,
    subject text not null,
    time timestamptz not null,
    traceparent text not null,
    cause uuid,
    payload_type text not null,
    payload bytea not null
);
create unique index outbox_by_position on outbox (position) where position is not null;
create index outbox_unnumbered on outbox (seq) where position is null;
create index outbox_by_time on outbox (time);
create index outbox_revocations on outbox (position) where type = 'revocation.created';

-- One row. `floor` is the position up to which events were removed after their retention.
create table feed (
    one boolean primary key default true check (one),
    feed_id uuid not null,
    head bigint not null,
    floor bigint not null,
    page_token_key bytea not null
);
insert into feed (feed_id, head, floor, page_token_key)
values (gen_random_uuid(), 0, 0, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- How far this service has read another one's feed, and which replica reads it.
create table feed_cursors (
    feed text primary key,
    feed_id uuid,
    position bigint not null default 0,
    lease_holder uuid,
    lease_epoch bigint not null default 0,
    lease_until timestamptz not null default '-infinity'
);

-- Other services' records as they last told of them. `refs` are the ids the record names, for looking it up by them.
create table projections (
    record_type text not null,
    record_id uuid not null,
    version bigint not null,
    deleted boolean not null,
    refs uuid[] not null,
    record bytea not null,
    update_time timestamptz not null,
    snapshot bigint not null default 0,
    primary key (record_type, record_id)
);
create index projections_by_refs on projections using gin (refs);

-- The directory's public keys as last heard, so that tokens are checked while it is away.
create table known_keys (
    one boolean primary key default true check (one),
    jwks text not null
);
