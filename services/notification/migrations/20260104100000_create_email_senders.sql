create table email_senders (
    id uuid primary key,
    name text not null,
    host text not null,
    port bigint not null,
    security integer not null,
    username text not null,
    -- Sealed, never in the clear.
    password text not null,
    from_address text not null,
    from_name text not null,
    reply_to_address text not null,
    enabled boolean not null,
    position bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index email_senders_name on email_senders (lower(name)) where delete_time is null;
create index email_senders_by_create_time on email_senders (create_time, id);
