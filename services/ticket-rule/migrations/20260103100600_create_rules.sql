create table rules (
    id uuid primary key,
    name text not null,
    description text not null,
    enabled boolean not null,
    applies_to integer not null,
    precedence bigint not null,
    criteria bytea,
    outcomes bytea,
    stop_on_match boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index rules_name on rules (lower(name)) where delete_time is null;
create index rules_by_precedence on rules (precedence, create_time, id);
create index rules_by_create_time on rules (create_time, id);
