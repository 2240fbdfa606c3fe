create table site_contact_types (
    id uuid primary key,
    name text not null,
    description text not null,
    position bigint not null,
    active boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index site_contact_types_name on site_contact_types (lower(name)) where delete_time is null;
create index site_contact_types_by_create_time on site_contact_types (create_time, id);
