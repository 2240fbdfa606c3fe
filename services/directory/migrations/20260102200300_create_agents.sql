create table agents (
    id uuid primary key,
    name text not null,
    email text not null,
    role_ids uuid[] not null,
    active boolean not null,
    phone text not null,
    job_title text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index agents_email on agents (lower(email)) where delete_time is null;
create index agents_by_role on agents using gin (role_ids);
create index agents_by_name on agents (lower(name) collate "C", id) where delete_time is null;
create index agents_by_create_time on agents (create_time, id);
