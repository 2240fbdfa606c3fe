-- Open tickets, few among all, by what may not be deleted while one names it: the check holds the lock that every
-- writing of a ticket waits for.
create index tickets_open_by_type on tickets (type_id) where status_category in (1, 2, 3);
create index tickets_open_by_status on tickets (status_id) where status_category in (1, 2, 3);
create index tickets_open_by_priority on tickets (priority_id) where status_category in (1, 2, 3);
create index tickets_open_by_sla on tickets (sla_id) where status_category in (1, 2, 3);
