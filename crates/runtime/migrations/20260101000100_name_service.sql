-- Whose database this is: the first service that migrates it says so, and no other one may.
alter table feed add column service text not null default '';
