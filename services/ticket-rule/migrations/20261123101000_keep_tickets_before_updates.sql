-- Of an update: the ticket before it, as a message. Null for other evaluations, and for those of a binary that does not
-- know of it.
alter table evaluations add column before bytea;
