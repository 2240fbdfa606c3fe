-- What the contract shows of a delivery, then what only the service needs to carry it out.
create table deliveries (
    id uuid primary key,
    event_id uuid not null,
    event_type integer not null,
    ticket_id uuid not null,
    ticket_number bigint not null,
    definition_id uuid,
    recipient_kind integer not null,
    recipient_role integer not null,
    user_id uuid,
    agent_id uuid,
    address text not null,
    channel integer not null,
    state integer not null,
    reason integer not null,
    other_definition_id uuid,
    email_sender_id uuid,
    subject text not null,
    message_id text not null,
    attempts bytea,
    attempt_count bigint not null,
    next_attempt_time timestamptz,
    sent_time timestamptz,
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null,

    -- Who it is on this channel: the address in lower case, or what the person is and its id.
    person text not null,
    recipient_name text not null,
    body_html text not null,
    -- The e-mail sender that the definition named when this was queued.
    wanted_sender_id uuid,
    -- When somebody must look at it: the next attempt, or the end of the lease of the present one. Null when nobody.
    due_time timestamptz,
    -- Of the present attempt; what a later one has replaced can record nothing any more.
    lease uuid,
    attempts_left integer not null,
    -- True while the last attempt found no e-mail sender that is enabled; given up at `patience_end`.
    waits_for_sender boolean not null default false,
    patience_end timestamptz not null
);
-- One message for one event, person and channel, whatever happens.
create unique index deliveries_once on deliveries (event_id, channel, person) where state <> 6;
create index deliveries_by_create_time on deliveries (create_time, id);
create index deliveries_by_event on deliveries (event_id);
create index deliveries_by_ticket on deliveries (ticket_id);
create index deliveries_by_user on deliveries (user_id) where user_id is not null;
create index deliveries_by_agent on deliveries (agent_id) where agent_id is not null;
create index deliveries_unfinished on deliveries (state) where state not in (3, 6);
create index deliveries_due on deliveries (due_time) where due_time is not null;
create index deliveries_waiting_for_sender on deliveries (id) where waits_for_sender;

-- The last position given in each inbox. The row is locked while an item is put there, so positions become visible in
-- their order and have no gaps.
create table inboxes (
    owner_id uuid primary key,
    last_position bigint not null,
    update_time timestamptz not null
);
create index inboxes_by_update_time on inboxes (update_time);

create table inbox_items (
    id uuid primary key,
    position bigint not null,
    user_id uuid,
    agent_id uuid,
    delivery_id uuid not null,
    event_id uuid not null,
    event_type integer not null,
    ticket_id uuid not null,
    ticket_number bigint not null,
    subject text not null,
    body_html text not null,
    read_time timestamptz,
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null
);
create unique index inbox_items_of_user on inbox_items (user_id, position) where user_id is not null;
create unique index inbox_items_of_agent on inbox_items (agent_id, position) where agent_id is not null;
create index inbox_items_unread_of_user on inbox_items (user_id) where user_id is not null and read_time is null;
create index inbox_items_unread_of_agent on inbox_items (agent_id) where agent_id is not null and read_time is null;
