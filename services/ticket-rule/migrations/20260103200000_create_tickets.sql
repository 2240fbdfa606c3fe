create sequence ticket_numbers;

create table tickets (
    id uuid primary key,
    number bigint not null,
    summary text not null,
    details text not null,
    user_id uuid,
    site_id uuid,
    customer_id uuid,
    type_id uuid,
    status_id uuid,
    team_id uuid,
    agent_id uuid,
    priority_id uuid,
    impact integer not null,
    urgency integer not null,
    sla_id uuid,
    source integer not null,
    tags text[] not null,
    follower_user_ids uuid[] not null,
    external_id text not null,
    external_source text not null,
    logged_time timestamptz not null,
    response_due_time timestamptz,
    resolution_due_time timestamptz,
    responded_time timestamptz,
    resolved_time timestamptz,
    closed_time timestamptz,
    hold_start_time timestamptz,
    held_duration bigint not null,
    user_important boolean,
    customer_important boolean,
    use integer not null,
    status_category integer not null,
    logged_by_kind integer not null,
    logged_by_id uuid,
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null,
    -- Not in the contract: microseconds on hold before the first response, which later holds do not change.
    response_held bigint not null default 0
);
create unique index tickets_number on tickets (number);
create unique index tickets_external_id on tickets (external_source, external_id) where external_id <> '';
create index tickets_by_time on tickets (create_time, id);
create index tickets_by_customer on tickets (customer_id, create_time, id);
create index tickets_by_site on tickets (site_id, create_time, id);
create index tickets_by_user on tickets (user_id, create_time, id);
-- Open ones, few among all: for counts, and for what may not be deleted while they name it.
create index tickets_open_by_customer on tickets (customer_id, status_category) where status_category in (1, 2, 3);
create index tickets_open_by_site on tickets (site_id, status_category) where status_category in (1, 2, 3);
