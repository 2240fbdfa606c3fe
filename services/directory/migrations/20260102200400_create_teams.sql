create table teams (
    id uuid primary key,
    name text not null,
    description text not null,
    active boolean not null,
    lead_agent_id uuid,
    agent_ids uuid[] not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index teams_name on teams (lower(name)) where delete_time is null;
create index teams_by_agent on teams using gin (agent_ids);
create index teams_by_create_time on teams (create_time, id);
