create table ticket_types (
    id uuid primary key,
    name text not null,
    description text not null,
    use integer not null,
    active boolean not null,
    position bigint not null,
    default_status_id uuid,
    default_priority_id uuid,
    default_sla_id uuid,
    default_team_id uuid,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index ticket_types_name on ticket_types (lower(name)) where delete_time is null;
create index ticket_types_by_create_time on ticket_types (create_time, id);
