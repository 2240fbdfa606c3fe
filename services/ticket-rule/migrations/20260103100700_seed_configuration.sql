-- What a new installation has: statuses, priorities and ticket types, with their history, their events and their place
-- in the first revision of the rule set, as if somebody had created them.

-- Enough of protobuf's encoding to write these records as messages.
create function pg_temp.varint(n bigint) returns bytea language plpgsql immutable as $$
declare
    bytes bytea := '';
begin
    while n > 127 loop
        bytes := bytes || set_byte('\x00'::bytea, 0, ((n & 127) | 128)::integer);
        n := n >> 7;
    end loop;
    return bytes || set_byte('\x00'::bytea, 0, n::integer);
end
$$;
create function pg_temp.bytes(field integer, content bytea) returns bytea language sql immutable as
$$ select pg_temp.varint(field << 3 | 2) || pg_temp.varint(octet_length(content)) || content $$;
create function pg_temp.text(field integer, content text) returns bytea language sql immutable as
$$ select pg_temp.bytes(field, convert_to(content, 'UTF8')) $$;
create function pg_temp.number(field integer, content bigint) returns bytea language sql immutable as
$$ select pg_temp.varint(field << 3) || pg_temp.varint(content) $$;
-- Creation and last change at a time, and the first etag.
create function pg_temp.stored(at timestamptz) returns bytea language sql immutable as $$
    select pg_temp.bytes(90, t) || pg_temp.bytes(91, t) || pg_temp.text(93, '1')
    from (select pg_temp.number(1, floor(extract(epoch from at))::bigint)
        || case micros when 0 then ''::bytea else pg_temp.number(2, micros * 1000) end as t
        from (select extract(microseconds from at)::bigint % 1000000 as micros) as split) as times
$$;

insert into statuses (id, name, description, category, active, position, color, create_time, update_time, version)
select id::uuid, name, description, category, true, category * 100, '', now(), now(), 1
from (values
    ('019b76da-a800-7000-8000-000000000101', 'New', 'Logged and not yet seen to.', 1),
    ('019b76da-a800-7000-8000-000000000102', 'Open', 'Being seen to.', 2),
    ('019b76da-a800-7000-8000-000000000103', 'On hold', 'Waiting for somebody else.', 3),
    ('019b76da-a800-7000-8000-000000000104', 'Resolved', 'Done, as far as the service desk knows.', 4),
    ('019b76da-a800-7000-8000-000000000105', 'Closed', 'Over.', 5)
) as seeds (id, name, description, category);

insert into priorities (id, name, description, rank, active, color, create_time, update_time, version)
select id::uuid, name, description, rank, true, '', now(), now(), 1
from (values
    ('019b76da-a800-7000-8000-000000000201', 'Critical', 'Seen to at once.', 1),
    ('019b76da-a800-7000-8000-000000000202', 'High', 'Seen to before most others.', 2),
    ('019b76da-a800-7000-8000-000000000203', 'Medium', 'Seen to in turn.', 3),
    ('019b76da-a800-7000-8000-000000000204', 'Low', 'Seen to when there is time.', 4)
) as seeds (id, name, description, rank);

insert into ticket_types (id, name, description, use, active, position, create_time, update_time, version)
select id::uuid, name, description, use, true, position, now(), now(), 1
from (values
    ('019b76da-a800-7000-8000-000000000301', 'Incident', 'Something does not work as it should.', 1, 100),
    ('019b76da-a800-7000-8000-000000000302', 'Service request', 'Somebody wants something.', 1, 200),
    ('019b76da-a800-7000-8000-000000000303', 'Opportunity', 'Something to be sold.', 2, 300)
) as seeds (id, name, description, use, position);

create temporary table seeds on commit drop as select gen_random_uuid() as event_id, seeds.* from (
    select 'status' as record_type, 'concierge.ticket_rule.v1.Status' as full_name, id, create_time,
        pg_temp.text(1, id::text) || pg_temp.text(2, name) || pg_temp.text(3, description) || pg_temp.number(4, category)
        || pg_temp.number(5, 1) || pg_temp.number(6, position) || pg_temp.stored(create_time) as record
    from statuses
    union all
    select 'priority', 'concierge.ticket_rule.v1.Priority', id, create_time,
        pg_temp.text(1, id::text) || pg_temp.text(2, name) || pg_temp.text(3, description) || pg_temp.number(4, rank)
        || pg_temp.number(5, 1) || pg_temp.stored(create_time)
    from priorities
    union all
    select 'ticket_type', 'concierge.ticket_rule.v1.TicketType', id, create_time,
        pg_temp.text(1, id::text) || pg_temp.text(2, name) || pg_temp.text(3, description) || pg_temp.number(4, use)
        || pg_temp.number(5, 1) || pg_temp.number(6, position) || pg_temp.stored(create_time)
    from ticket_types
) as seeds;

-- Operation CREATED, by the service itself.
insert into changes (id, record_type, record_id, version, operation, time, actor_kind, actor, on_behalf_of, request_id,
    method, fields, record)
select event_id, record_type, id, 1, 1, create_time, 4, 'ticket-rule', '', '', '', '{}', record from seeds order by id;

insert into outbox (id, type, subject, time, traceparent, payload_type, payload)
select event_id, record_type || '.created', record_type || '/' || id, create_time, '',
    'concierge.event.v1.RecordChanged',
    pg_temp.text(1, record_type) || pg_temp.text(2, id::text) || pg_temp.number(3, 1)
    || pg_temp.bytes(4, pg_temp.text(1, 'type.googleapis.com/' || full_name) || pg_temp.bytes(2, record))
from seeds order by id;

update rule_set_revision set revision = 1;
insert into configuration_versions (record_type, record_id, since, record)
select record_type, id, 1, record from seeds;

drop function pg_temp.stored(timestamptz);
drop function pg_temp.number(integer, bigint);
drop function pg_temp.text(integer, text);
drop function pg_temp.bytes(integer, bytea);
drop function pg_temp.varint(bigint);
