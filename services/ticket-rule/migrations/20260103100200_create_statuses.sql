create table statuses (
    id uuid primary key,
    name text not null,
    description text not null,
    category integer not null,
    active boolean not null,
    position bigint not null,
    color text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index statuses_name on statuses (lower(name)) where delete_time is null;
create index statuses_by_create_time on statuses (create_time, id);
