-- A role that comes back makes important whoever got it while it was deleted: before, only a change of the role's flag
-- was followed.
drop trigger user_roles_changed on user_roles;
create trigger user_roles_changed after update on user_roles for each row
when (old.important <> new.important or (old.delete_time is null) <> (new.delete_time is null))
execute function index_users_of_role();

-- What went wrong until now.
with changed as (
    select s.user_id, s.names, s.rank as was, user_rank(u.important, u.role_ids) as becomes
    from users u join user_search s on s.user_id = u.id
    where u.role_ids <> '{}' and s.rank <> user_rank(u.important, u.role_ids)
), listed as (
    update user_names n set rank = c.becomes
    from changed c cross join lateral name_terms(c.names) as t
    where n.term = t and n.rank = c.was and n.names = c.names and n.user_id = c.user_id
)
update user_search s set rank = c.becomes from changed c where s.user_id = c.user_id;
