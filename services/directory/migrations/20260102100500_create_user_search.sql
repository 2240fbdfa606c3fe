-- What SearchUsers reads, made from `users` by triggers, so that it is right after every kind of write. It must take
-- the same time among a million users as among ten thousand, also where a name is a common one.

-- Live users, as narrow as can be. `rank` is 0 for important users, whether by their own flag or by a role, else 1.
create table user_search (
    user_id uuid primary key,
    rank smallint not null,
    names text collate "C" not null,
    words tsvector not null
);
create index user_search_in_order on user_search (rank, names, user_id);
create index user_search_by_words on user_search using gin (words);

-- For each word of a user's names, and for each of its beginnings of up to four letters, the users in the order of
-- results: the first page is the first rows of one range, however many follow. Whole words end with a space.
create table user_names (
    term text collate "C" not null,
    rank smallint not null,
    names text collate "C" not null,
    user_id uuid not null,
    primary key (term, rank, names, user_id)
);

create function name_terms(names text) returns setof text
language sql immutable strict parallel safe rows 10 as $$
    select distinct term
    from unnest(string_to_array(names, ' ')) as word
    cross join lateral (values (left(word, 1)), (left(word, 2)), (left(word, 3)), (left(word, 4)), (word || ' ')) as t (term)
$$;

create function user_rank(important boolean, roles uuid[]) returns smallint
language sql stable parallel safe as $$
    select case
        when $1 or exists (select from user_roles r where r.id = any($2) and r.important and r.delete_time is null)
        then 0::smallint else 1::smallint end
$$;

create function index_user() returns trigger language plpgsql as $$
declare
    was user_search;
    becomes user_search;
begin
    if new.delete_time is null then
        becomes := (
            new.id, user_rank(new.important, new.role_ids), search_names(new.search), search_words(new.search)
        )::user_search;
    end if;
    if tg_op = 'UPDATE' then
        select * into was from user_search where user_id = new.id;
    end if;
    if (was.rank, was.names) is not distinct from (becomes.rank, becomes.names) then
        update user_search set words = becomes.words where user_id = new.id;
        return null;
    end if;
    if was.user_id is not null then
        delete from user_names n using name_terms(was.names) as t
        where n.term = t and n.rank = was.rank and n.names = was.names and n.user_id = was.user_id;
        delete from user_search where user_id = was.user_id;
    end if;
    if becomes.user_id is not null then
        insert into user_search select becomes.*;
        insert into user_names select t, becomes.rank, becomes.names, becomes.user_id from name_terms(becomes.names) as t;
    end if;
    return null;
end $$;

create trigger users_inserted after insert on users for each row execute function index_user();
create trigger users_updated after update on users for each row
when (
    old.search <> new.search or old.important <> new.important or old.role_ids <> new.role_ids
    or (old.delete_time is null) <> (new.delete_time is null)
)
execute function index_user();

-- A role that becomes important, or stops being so, moves everybody who has it. Their rows are locked first: whoever
-- changed one of them and has not committed is waited for, and what it wrote is seen by the statement after that.
create function index_users_of_role() returns trigger language plpgsql as $$
begin
    perform from users where role_ids @> array[new.id] order by id for update;
    with changed as (
        select s.user_id, s.names, s.rank as was, user_rank(u.important, u.role_ids) as becomes
        from users u join user_search s on s.user_id = u.id
        where u.role_ids @> array[new.id]
    ), listed as (
        update user_names n set rank = c.becomes
        from changed c cross join lateral name_terms(c.names) as t
        where c.was <> c.becomes
            and n.term = t and n.rank = c.was and n.names = c.names and n.user_id = c.user_id
    )
    update user_search s set rank = c.becomes from changed c where s.user_id = c.user_id and c.was <> c.becomes;
    return null;
end $$;

create trigger user_roles_updated after update on user_roles for each row
when (old.important <> new.important)
execute function index_users_of_role();
