-- What tickets are about, in four levels.
create table categories (
    id uuid primary key,
    name text not null,
    description text not null,
    level bigint not null,
    parent_id uuid,
    position bigint not null,
    active boolean not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index categories_name on categories
    (level, coalesce(parent_id, '00000000-0000-0000-0000-000000000000'), lower(name)) where delete_time is null;
create index categories_by_create_time on categories (create_time, id);

alter table tickets
    add column category_1_id uuid,
    add column category_2_id uuid,
    add column category_3_id uuid,
    add column category_4_id uuid;
create index tickets_open_by_category_1 on tickets (category_1_id)
    where category_1_id is not null and status_category in (1, 2, 3);
create index tickets_open_by_category_2 on tickets (category_2_id)
    where category_2_id is not null and status_category in (1, 2, 3);
create index tickets_open_by_category_3 on tickets (category_3_id)
    where category_3_id is not null and status_category in (1, 2, 3);
create index tickets_open_by_category_4 on tickets (category_4_id)
    where category_4_id is not null and status_category in (1, 2, 3);
