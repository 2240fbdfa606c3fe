-- Rule sets as they are and as they were. A revision is the set of versions with since <= revision < until. Records of
-- the types rule, status, priority, ticket_type and sla, as messages.
create table configuration_versions (
    record_type text not null,
    record_id uuid not null,
    since bigint not null,
    until bigint,
    record bytea not null,
    primary key (record_type, record_id, since)
);
create index configuration_versions_by_since on configuration_versions (since);
create index configuration_versions_by_until on configuration_versions (until);

-- One row: the newest revision.
create table rule_set_revision (
    one boolean primary key default true check (one),
    revision bigint not null
);
insert into rule_set_revision (revision) values (0);

-- The advisory lock that a change of the configuration takes alone, and the writing of a ticket shares.
create function configuration_lock() returns bigint language sql immutable parallel safe
return 4847204186230221101;

-- The newest revision, which stays the newest until the end of the transaction. Waits for a change that is being made;
-- the second statement of a volatile function sees what was committed meanwhile.
create function configuration_revision() returns bigint language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(configuration_lock());
    return (select revision from rule_set_revision);
end
$$;
