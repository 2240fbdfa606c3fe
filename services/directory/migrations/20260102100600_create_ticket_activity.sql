-- What ticket-rule's events say about the tickets of customers, sites and users: the overviews read it.

-- Every ticket, as last heard of.
create table ticket_projection (
    ticket_id uuid primary key,
    number bigint not null,
    summary text not null,
    customer_id uuid,
    site_id uuid,
    user_id uuid,
    open boolean not null,
    version bigint not null,
    -- The time of the event.
    update_time timestamptz not null
);
create index ticket_projection_open_by_customer on ticket_projection (customer_id) where open;
create index ticket_projection_open_by_site on ticket_projection (site_id) where open;
create index ticket_projection_open_by_user on ticket_projection (user_id) where open;
create index ticket_projection_by_time on ticket_projection (update_time);

-- What happened, an entry a line of an overview; `seq` counts the entries of one event.
create table activity (
    event_id uuid not null,
    seq integer not null,
    time timestamptz not null,
    -- `ActivityKind`.
    kind integer not null,
    ticket_id uuid not null,
    customer_id uuid,
    site_id uuid,
    user_id uuid,
    -- The ticket's summary when it happened.
    text text not null,
    -- The action on the ticket, if one was added.
    action_id uuid,
    -- Who did it: the id of an agent or a user, or the name of a service.
    actor_id text not null default '',
    primary key (event_id, seq)
);
create index activity_by_customer on activity (customer_id, time desc, event_id desc, seq desc);
create index activity_by_site on activity (site_id, time desc, event_id desc, seq desc);
create index activity_by_user on activity (user_id, time desc, event_id desc, seq desc);
