-- What a search finds a record by is kept as text, made by the service: the words of its names, `|`, its other words;
-- words are letters and digits without accents, in lower case. Here it becomes something an index answers for: words
-- of names have weight A, the others D.
create function search_words(search text) returns tsvector
language sql immutable strict parallel safe as $$
    select (
        case when split_part(search, '|', 1) = '' then ''
            else replace(split_part(search, '|', 1), ' ', ':1A ') || ':1A ' end
        || case when split_part(search, '|', 2) = '' then ''
            else replace(split_part(search, '|', 2), ' ', ':2 ') || ':2' end
    )::tsvector
$$;

-- The names by which equally good results are ordered. Cut, so that they fit into an index.
create function search_names(search text) returns text
language sql immutable strict parallel safe as $$
    select left(split_part(search, '|', 1), 300)
$$;
