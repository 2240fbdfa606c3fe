create table priorities (
    id uuid primary key,
    name text not null,
    description text not null,
    rank bigint not null,
    active boolean not null,
    color text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index priorities_name on priorities (lower(name)) where delete_time is null;
create index priorities_by_create_time on priorities (create_time, id);
