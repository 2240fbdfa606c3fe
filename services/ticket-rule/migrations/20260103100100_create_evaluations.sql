-- What is known about requesters, each content once: `hash` is the SHA-256 of the message without its read_time.
create table facts (
    hash bytea primary key,
    facts bytea not null
);

-- Every evaluation with its input and its outcome.
create table evaluations (
    id uuid primary key,
    ticket_id uuid not null,
    -- 1 for the first of the ticket.
    number integer not null,
    -- EvaluationCause.
    cause integer not null,
    -- Which rules were asked: EvaluationCause, never SECOND.
    occasion integer not null,
    time timestamptz not null,
    revision bigint not null,
    -- The ticket that the rules began with, and the action that was added, as messages.
    ticket bytea not null,
    action bytea,
    -- Of an update: what it had changed by itself, by the names of criteria.
    changed_fields text[] not null,
    -- The rules that were asked for by their ids.
    rule_ids uuid[] not null,
    -- Null when nothing was known of the requester, or there is none.
    facts_hash bytea,
    stale boolean not null,
    undecided boolean not null,
    -- EvaluationSummary.
    outcome bytea not null,
    -- The first evaluation that this one repeated on fresh facts, and the other way round.
    corrects uuid,
    corrected_by uuid,
    constraint evaluations_number unique (ticket_id, number)
);
