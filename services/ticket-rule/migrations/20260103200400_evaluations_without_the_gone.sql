-- Teams and agents that rules would have given and that were known to be deleted or not active at the time.
alter table evaluations add column withheld uuid[] not null default '{}';
-- What was made again long ago is removed.
create index second_evaluations_done on second_evaluations (done_time) where done_time is not null;
