create table site_contacts (
    id uuid primary key,
    site_id uuid not null,
    user_id uuid not null,
    type_id uuid,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
-- A contact without a type is one assignment too: nulls would not meet each other.
create unique index site_contacts_once
    on site_contacts (site_id, user_id, coalesce(type_id, '00000000-0000-0000-0000-000000000000'))
    where delete_time is null;
create index site_contacts_by_user on site_contacts (user_id) where delete_time is null;
create index site_contacts_by_type on site_contacts (type_id) where delete_time is null;
create index site_contacts_by_create_time on site_contacts (create_time, id);
