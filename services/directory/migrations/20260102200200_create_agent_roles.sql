create table agent_roles (
    id uuid primary key,
    name text not null,
    description text not null,
    active boolean not null,
    permissions text[] not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index agent_roles_name on agent_roles (lower(name)) where delete_time is null;
create index agent_roles_by_create_time on agent_roles (create_time, id);
