-- What lists are ordered by or asked for, so that a page of a million records costs what a page does.
create index sites_by_name on sites (name collate "C", id);
create index users_by_name on users (name collate "C", id);
create index users_by_email on users using gin (emails);
create index users_by_exact_login_name on users (login_name) where login_name <> '';
