create table notification_definitions (
    id uuid primary key,
    name text not null,
    description text not null,
    enabled boolean not null,
    event_type integer not null,
    rule_id uuid,
    criteria bytea,
    recipients bytea,
    channels integer[] not null,
    email_sender_id uuid,
    subject_template text not null,
    body_html_template text not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index notification_definitions_name on notification_definitions (lower(name)) where delete_time is null;
create index notification_definitions_by_create_time on notification_definitions (create_time, id);
create index notification_definitions_by_email_sender on notification_definitions (email_sender_id)
    where email_sender_id is not null;
