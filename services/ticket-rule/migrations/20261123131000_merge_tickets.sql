-- The ticket that another one was merged into.
alter table tickets add column merged_into_id uuid;
create index tickets_by_merged_into on tickets (merged_into_id) where merged_into_id is not null;

-- The ticket that an action was added to, where that was merged into another one since. External ids are unique among
-- the actions that were added to one ticket, so actions of merged ones never meet.
alter table ticket_actions add column original_ticket_id uuid;
drop index ticket_actions_external_id;
create unique index ticket_actions_external_id on ticket_actions
    (coalesce(original_ticket_id, ticket_id), external_source, external_id) where external_id <> '';

-- The advisory lock that merges take, one after the other.
create function merge_lock() returns bigint language sql immutable parallel safe
return 4847204186230221102;
