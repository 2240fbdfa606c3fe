-- The W3C trace context of the event that led to it; empty when there is none.
alter table deliveries add column traceparent text not null default '';

-- What is old is removed.
create index inbox_items_by_create_time on inbox_items (create_time);
create index inbox_items_by_read_time on inbox_items (read_time) where read_time is not null;
