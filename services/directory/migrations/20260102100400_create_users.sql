create table users (
    id uuid primary key,
    site_id uuid,
    customer_id uuid,
    name text not null,
    given_name text not null,
    family_name text not null,
    job_title text not null,
    emails text[] not null,
    phones text[] not null,
    important boolean not null,
    role_ids uuid[] not null,
    relationship_ids uuid[] not null,
    active boolean not null,
    never_send_emails boolean not null,
    linked_agent_id uuid,
    login_name text not null,
    web_access_level integer not null,
    asset_access_level integer not null,
    service_access_level bigint not null,
    approver boolean not null,
    external_id text not null,
    external_source text not null,
    notes text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null,
    search text not null
);
create unique index users_login_name on users (lower(login_name)) where delete_time is null and login_name <> '';
create unique index users_external_id on users (external_source, external_id)
    where delete_time is null and external_id <> '';
create index users_by_create_time on users (create_time, id);
create index users_by_site on users (site_id, create_time, id);
create index users_by_customer on users (customer_id, create_time, id);
create index users_by_role on users using gin (role_ids);
create index users_by_relationship on users using gin (relationship_ids);
create index users_by_agent on users (linked_agent_id) where linked_agent_id is not null;

-- The e-mail addresses of live users, in lower case: what makes each unique, whoever comes first.
create table user_emails (
    email text primary key,
    user_id uuid not null
);
