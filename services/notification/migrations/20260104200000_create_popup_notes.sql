create table popup_notes (
    id uuid primary key,
    -- Exactly one of the three.
    customer_id uuid,
    site_id uuid,
    user_id uuid,
    text_html text not null,
    -- Days as `2026-03-01`, empty for none: their order is that of their bytes.
    from_date text collate "C" not null,
    until_date text collate "C" not null,
    dismissible boolean not null,
    active boolean not null,
    text_revision bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null,
    constraint popup_notes_one_target check (num_nonnulls(customer_id, site_id, user_id) = 1)
);
create index popup_notes_by_create_time on popup_notes (create_time, id);
create index popup_notes_by_customer on popup_notes (customer_id) where customer_id is not null;
create index popup_notes_by_site on popup_notes (site_id) where site_id is not null;
create index popup_notes_by_user on popup_notes (user_id) where user_id is not null;
