create table slas (
    id uuid primary key,
    name text not null,
    description text not null,
    active boolean not null,
    targets bytea,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index slas_name on slas (lower(name)) where delete_time is null;
create index slas_by_create_time on slas (create_time, id);
