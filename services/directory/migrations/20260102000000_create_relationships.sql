create table relationships (
    id uuid primary key,
    name text not null,
    entity integer not null,
    description text not null,
    active boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index relationships_name on relationships (entity, lower(name)) where delete_time is null;
create index relationships_by_create_time on relationships (create_time, id);
