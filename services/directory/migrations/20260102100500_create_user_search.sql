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

-- Users by what somebody types of a name, in the order of results, so that a page is the first rows of one range however
-- many follow: by the first one to five letters of each word, and by those of each two words (one or three letters of
-- both).
create table user_names (
    term text collate "C" not null,
    rank smallint not null,
    names text collate "C" not null,
    user_id uuid not null,
    primary key (term, rank, names, user_id)
);

create function name_terms(names text) returns setof text
language sql immutable strict parallel safe rows 12 as $$
    with word as (
        select word collate "C" as word, at from unnest(string_to_array(names, ' ')) with ordinality as w (word, at)
    )
    select left(word, length) from word cross join generate_series(1, 5) as length
    union
    select least(left(a.word, length), left(b.word, length)) || ' ' || greatest(left(a.word, length), left(b.word, length))
    from word a join word b on a.at < b.at cross join (values (1), (3)) as l (length)
$$;

create function user_rank(important boolean, role_ids uuid[]) returns smallint
language sql stable parallel safe as $$
    select case
        when $1 or exists (select from user_roles r where r.id = any($2) and r.important and r.delete_time is null)
        then 0::smallint else 1::smallint end
$$;

create function index_added_users() returns trigger language plpgsql as $$
begin
    with searched as (
        insert into user_search
        select id, user_rank(important, role_ids), search_names(search), search_words(search)
        from added where delete_time is null
        returning user_id, rank, names
    )
    insert into user_names
    select term, rank, names, user_id from searched cross join lateral name_terms(names) as term order by term;
    return null;
end $$;

create trigger users_added after insert on users referencing new table as added
for each statement execute function index_added_users();

create function index_changed_users() returns trigger language plpgsql as $$
begin
    with changed as (
        select a.id, a.delete_time is null as live, user_rank(a.important, a.role_ids) as rank,
            search_names(a.search) as names, search_words(a.search) as words
        from after a join before b on b.id = a.id
        where a.search <> b.search or a.important <> b.important or a.role_ids <> b.role_ids
            or (a.delete_time is null) <> (b.delete_time is null)
    ), moved as (
        select c.*, s.rank as old_rank, s.names as old_names
        from changed c left join user_search s on s.user_id = c.id
        where not c.live or (c.rank, c.names) is distinct from (s.rank, s.names)
    ), unlisted as (
        delete from user_names n using moved m cross join lateral name_terms(m.old_names) as t
        where n.term = t and n.rank = m.old_rank and n.names = m.old_names and n.user_id = m.id
    ), listed as (
        insert into user_names
        select t, m.rank, m.names, m.id from moved m cross join lateral name_terms(m.names) as t where m.live
    ), removed as (
        delete from user_search s using changed c where s.user_id = c.id and not c.live
    )
    insert into user_search select id, rank, names, words from changed where live
    on conflict (user_id) do update set rank = excluded.rank, names = excluded.names, words = excluded.words;
    return null;
end $$;

create trigger users_changed after update on users referencing old table as before new table as after
for each statement execute function index_changed_users();

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

create trigger user_roles_changed after update on user_roles for each row
when (old.important <> new.important)
execute function index_users_of_role();
