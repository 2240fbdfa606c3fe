-- Batches that run rules again on tickets: how far each is. A ticket's change and the place of the batch are one
-- transaction, so that no ticket is done twice, whichever replica goes on with the batch.
create table rule_reapplications (
    caller text not null,
    request_id uuid not null,
    request_hash bytea not null,
    -- The number of the last ticket that is done.
    position bigint not null default 0,
    done_count bigint not null default 0,
    changed_count bigint not null default 0,
    skipped_count bigint not null default 0,
    create_time timestamptz not null,
    primary key (caller, request_id)
);
create index rule_reapplications_create_time on rule_reapplications (create_time);
