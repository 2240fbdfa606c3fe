-- The ways in which the change history is searched, which only the directory answers for. A record's own changes are
-- found by changes_once.
create index changes_by_type on changes (record_type, time, seq);
create index changes_by_actor on changes (actor, time, seq);
create index changes_by_on_behalf_of on changes (on_behalf_of, time, seq) where on_behalf_of <> '';
create index changes_by_request on changes (request_id);
