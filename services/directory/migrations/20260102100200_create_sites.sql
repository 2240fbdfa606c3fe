create table sites (
    id uuid primary key,
    customer_id uuid,
    name text not null,
    address bytea,
    email_domain text not null,
    time_zone text not null,
    phone text not null,
    active boolean not null,
    external_id text not null,
    external_source text not null,
    notes text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null,
    search text not null
);
create unique index sites_external_id on sites (external_source, external_id)
    where delete_time is null and external_id <> '';
create index sites_by_create_time on sites (create_time, id);
create index sites_by_customer on sites (customer_id, create_time, id);
create index sites_by_words on sites using gin (search_words(search)) where delete_time is null;
