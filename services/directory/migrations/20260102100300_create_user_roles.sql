create table user_roles (
    id uuid primary key,
    name text not null,
    description text not null,
    active boolean not null,
    important boolean not null,
    web_access_level integer not null,
    asset_access_level integer not null,
    service_access_level bigint not null,
    approver boolean not null,
    never_send_emails boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index user_roles_name on user_roles (lower(name)) where delete_time is null;
create index user_roles_by_create_time on user_roles (create_time, id);
