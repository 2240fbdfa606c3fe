create table customers (
    id uuid primary key,
    name text not null,
    important boolean not null,
    active boolean not null,
    stage integer not null,
    time_zone text not null,
    notes text not null,
    relationship_ids uuid[] not null,
    account_manager_agent_id uuid,
    phone text not null,
    domains text[] not null,
    currency text not null,
    ai_excluded boolean not null,
    external_id text not null,
    external_source text not null,
    website text not null,
    main_site_id uuid,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null,
    search text not null
);
create unique index customers_external_id on customers (external_source, external_id)
    where delete_time is null and external_id <> '';
create index customers_by_create_time on customers (create_time, id);
create index customers_by_name on customers (name collate "C", id);
create index customers_by_relationship on customers using gin (relationship_ids);
create index customers_by_account_manager on customers (account_manager_agent_id)
    where account_manager_agent_id is not null;
create index customers_by_words on customers using gin (search_words(search)) where delete_time is null;
