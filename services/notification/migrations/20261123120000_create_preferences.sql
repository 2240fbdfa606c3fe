-- A row for each user who ever chose something; `id` is the user's.
create table preferences (
    id uuid primary key,
    site_new boolean not null,
    site_action boolean not null,
    site_closed boolean not null,
    customer_new boolean not null,
    customer_action boolean not null,
    customer_closed boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null
);
